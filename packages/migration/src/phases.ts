import { asSternaError, SternaError } from "@sterna/shared/errors";
import { VolumeId } from "@sterna/shared/ids";
import type { MigrationPhase } from "@sterna/shared/migration";
import { beginConvergence, describeSteering, downtimeLimitMs, steer } from "./convergence.ts";
import { deadlines } from "./deadlines.ts";
import { transition } from "./handover.ts";
import type { Move } from "./move.ts";
import type { MemoryProgress, Steering } from "./ports.ts";
import { abortError, pause, whileMoving, within } from "./waiting.ts";

/** One step of a move. `do` and `undo` can both be repeated; `undo` is right wherever `do` was interrupted. */
export interface Phase {
	name: MigrationPhase;
	/** Why it stands at this place. */
	why: string;
	do(move: Move): Promise<void>;
	/** Null where another phase's undo covers it, and from the commit point on, where there is only forward. */
	undo: ((move: Move) => Promise<void>) | null;
	/** `handOver` alone: when it has written the record, the guest is the target's. */
	commits: boolean;
}

const prepareTarget: Phase = {
	name: "prepareTarget",
	why: "all that can be refused is refused before the guest notices anything",
	commits: false,
	async do(move) {
		const { clock, target } = move.ports;
		move.prepared = await within(clock, deadlines.prepareTargetMs, "the target to prepare", move.cancel, (signal) =>
			target.prepare(signal),
		);
		const copiedVolumes = Object.keys(move.prepared.diskTickets).map((id) => VolumeId.parse(id));
		await move.note({ type: "prepared", copiedVolumes });
	},
	undo: (move) =>
		within(move.ports.clock, deadlines.undoStepMs, "the target to discard what it has", null, () =>
			move.ports.target.discard(move.needPermit()),
		),
};

const copyDisks: Phase = {
	name: "copyDisks",
	why: "disks are large and change slowly: they are in sync before memory begins, and are kept so until the pause",
	commits: false,
	async do(move) {
		const { clock, source } = move.ports;
		const { guestId } = move.facts;
		const prepared = move.needPrepared();
		move.streams = await within(clock, deadlines.openStreamsMs, "the streams to the target", move.cancel, () =>
			source.openStreams(prepared),
		);
		const { disks } = move.streams;
		if (disks.length === 0) return;
		await whileMoving(clock, deadlines.diskStallMs, "disk data moved", move.cancel, (signal, saw) =>
			source.copyDisks(
				{
					guestId,
					disks,
					onProgress(disk) {
						saw(disk.transferredBytes);
						move.onDisk(disk);
					},
				},
				signal,
			),
		);
	},
	undo: runOnSource,
};

const copyMemory: Phase = {
	name: "copyMemory",
	why: "memory changes fastest: it is copied last, again and again, until the rest fits into the pause",
	commits: false,
	async do(move) {
		const { clock, source } = move.ports;
		const { memorySocket: socket } = move.needStreams();
		let convergence = beginConvergence(move.facts.options);
		const policy = (memory: MemoryProgress): Steering | undefined => {
			const { next, steering } = steer(convergence, memory);
			convergence = next;
			if (steering) move.remark(describeSteering(steering));
			return steering;
		};
		const { pausedAt } = await whileMoving(clock, deadlines.memoryStallMs, "memory moved", move.cancel, (signal, saw) =>
			source.copyMemory(
				{
					guestId: move.facts.guestId,
					socket,
					downtimeLimitMs: downtimeLimitMs(convergence),
					onProgress(memory) {
						saw(memory.transferredBytes);
						move.onMemory(memory);
						return policy(memory);
					},
				},
				signal,
			),
		);
		await move.note({ type: "paused", at: Math.round(pausedAt) });
	},
	undo: runOnSource,
};

const switchOver: Phase = {
	name: "switchOver",
	why: "the guest is paused from here on: the rest is sent, and the target says that it has everything",
	commits: false,
	async do(move) {
		const { clock, source } = move.ports;
		const endsAt = clock.now() + deadlines.switchOverMs;
		await within(clock, deadlines.switchOverMs, "the last pages to leave", move.cancel, (signal) =>
			source.switchOver(move.facts.guestId, signal),
		);
		const leftMs = Math.max(0, endsAt - clock.now());
		await within(clock, leftMs, "the target to have everything", move.cancel, async (signal) => {
			while (!signal.aborted && !(await isLoaded(move))) await pause(clock, deadlines.pollMs, signal);
		});
		move.targetLoaded = true;
	},
	undo: runOnSource,
};

const handOver: Phase = {
	name: "handOver",
	why: "the commit point: this host writes that the guest is the target's, and only then says so",
	commits: true,
	async do(move) {
		const { source } = move.ports;
		const { guestId, migrationId } = move.facts;
		const decision = await move.decide(async () => {
			const process = await source.processState(guestId);
			return { type: "release", migrationId, process, targetLoaded: move.targetLoaded };
		});
		if (decision.verdict === "refuse") throw new SternaError(decision.code, decision.message);
		await tellTargetUntilAnswered(move);
	},
	undo: null,
};

const retireSource: Phase = {
	name: "retireSource",
	why: "the old process and disks are the last way back, so they are kept until the target has answered",
	// Under the guest's lock: when the guest is on its way back already, the process here is the new one.
	commits: false,
	async do(move) {
		const { source } = move.ports;
		const { guestId, migrationId } = move.facts;
		await source.closeStreams();
		await move.ports.records.update(guestId, async (record) => {
			const left = record?.role === "released" && record.migrationId === migrationId;
			if (left) await source.retire(guestId, move.copiedVolumes());
			return transition(record, { type: "retired", migrationId });
		});
	},
	undo: null,
};

/** One move, in order. */
export const phases: readonly Phase[] = [prepareTarget, copyDisks, copyMemory, switchOver, handOver, retireSource];

/**
 * Undo of the three phases that touch the source's process: whichever it was in, the guest runs here as if nothing had
 * been. The streams are cut first: QEMU may be waiting for a dead link in its last write, with the guest paused and the
 * monitor silent. It hears of a closed socket at once, but each question to a silent monitor takes its whole deadline.
 * Streams that cannot be closed are tried again, but no guest stays paused for them.
 */
async function runOnSource({ ports, facts }: Move): Promise<void> {
	const { clock, source } = ports;
	await within(clock, deadlines.undoStepMs, "the guest to run on its old host", null, async () => {
		const notClosed = await within(clock, deadlines.closeStreamsMs, "the streams to be cut", null, () =>
			source.closeStreams(),
		).then(() => null, asSternaError);
		if ((await source.processState(facts.guestId)) !== "absent") await source.cancelMigration(facts.guestId);
		if (notClosed) throw notClosed;
	});
}

/** Whether the target has all memory. A lost answer is asked for again; a target that has nothing any more ends the waiting. */
async function isLoaded({ ports }: Move): Promise<boolean> {
	const answer = await ports.target.renew().catch((thrown: unknown) => {
		const error = asSternaError(thrown);
		if (error.code === "unavailable" || error.code === "timeout") return null;
		throw error;
	});
	if (answer?.state === "absent" || answer?.state === "discarded") {
		throw new SternaError("unavailable", "the target has lost what it received", { cure: "try the migration again" });
	}
	return answer?.state === "loaded";
}

/**
 * The guest is the target's already: there is nothing to do but to ask until it answers, or until the console has granted
 * the guest anew, to this host: a target that was proved dead must not be told to run it when it comes back.
 */
async function tellTargetUntilAnswered(move: Move): Promise<void> {
	const { clock, target, records } = move.ports;
	const { guestId, migrationId } = move.facts;
	for (;;) {
		try {
			const { restarted } = await target.run();
			await move.decide({ type: "heard", migrationId });
			move.setInDoubt(false);
			await move.note({ type: "heard", restarted });
			return;
		} catch (thrown) {
			if (move.setInDoubt(true)) {
				move.remark(`the target has not confirmed that it runs the guest: ${asSternaError(thrown).message}`);
			}
			if (move.stop.aborted) throw abortError(move.stop);
			await pause(clock, deadlines.retryMs, move.stop);
			const record = await records.read(guestId);
			if (record?.role === "released" && record.migrationId === migrationId) continue;
			move.setInDoubt(false);
			move.remark("the guest was granted anew to this host; the target is not asked any more");
			return;
		}
	}
}
