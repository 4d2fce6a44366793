import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { MigrationReport } from "@sterna/shared/migration";
import { deadlines } from "./deadlines.ts";
import { transition } from "./handover.ts";
import { owesDiscard } from "./journal.ts";
import type { Happening, Move } from "./move.ts";
import { type Phase, phases } from "./phases.ts";
import { decideResumption } from "./resumption.ts";
import { abortError, pause } from "./waiting.ts";

/**
 * Moves one guest. Fulfilled with the last report: `completed`, or `failed` and `cancelled` with the guest running on the
 * source as if nothing had been. Rejected only when this agent ends first (`move.stop`): `resumeMigration` goes on then.
 * @throws {SternaError} when the record refuses the move to begin; nothing has changed then.
 */
export async function runMigration(move: Move): Promise<MigrationReport> {
	await open(move);
	const stopRenewing = keepTargetWaiting(move);
	try {
		await begin(move);
		for (const phase of phases) {
			if (move.cancel.aborted && phase.name !== "retireSource") throw abortError(move.cancel);
			await perform(move, phase);
		}
		return await end(move, "completed");
	} catch (thrown) {
		return await settle(move, asSternaError(thrown));
	} finally {
		stopRenewing();
	}
}

/**
 * After a failure, or a restart: first makes sure that the move can no longer be handed over, unless it has been, then
 * goes the one way that is left. When the record cannot be written nobody knows what it says: the guest stays as it is,
 * and the writing is tried again.
 */
export async function settle(move: Move, error: SternaError): Promise<MigrationReport> {
	const { guestId, migrationId } = move.facts;
	const record = await untilDone(move, "the ownership record could not be written", async () => {
		await move.decide({ type: "abandon", migrationId });
		return move.ports.records.read(guestId);
	});
	const resumption = decideResumption(record, move.journal, move.facts);
	switch (resumption.action) {
		case "undo":
			return unwind(move, error);
		case "forward":
			await goForward(move);
			return end(move, "completed");
		case "close":
			if (resumption.state !== "completed") await noteUndoing(move, error);
			return end(move, resumption.state);
		case "nothing":
			return move.report();
	}
}

/** After the commit point: whatever is left is tried until it is done. Also the way on after a restart of the agent. */
async function goForward(move: Move): Promise<void> {
	const afterCommit = phases.slice(phases.findIndex((phase) => phase.commits));
	for (const phase of afterCommit) {
		if (!isDone(move, phase))
			await untilDone(move, `${phase.name} failed and is tried again`, () => perform(move, phase));
	}
}

/** Undoes the phases that began, in reverse. The guest's own host comes first; a target that cannot be reached is told later. */
async function unwind(move: Move, error: SternaError): Promise<MigrationReport> {
	await noteUndoing(move, error);
	const begun = phases.filter((phase) => move.journal.some((e) => e.type === "phaseBegan" && e.phase === phase.name));
	for (const phase of begun.toReversed()) {
		const { name, undo } = phase;
		if (!undo) continue;
		if (name === "prepareTarget") await discardOnce(move);
		else {
			await untilDone(move, `${name} could not be undone and is tried again`, () => undo(move));
			await noteFirmly(move, { type: "undone", phase: name });
		}
	}
	await untilDone(move, "the ownership record could not be written", () =>
		move.decide({ type: "moveEnded", migrationId: move.facts.migrationId }),
	);
	return end(move, error.code === "cancelled" ? "cancelled" : "failed");
}

/**
 * Tells the target of a move that did not happen to throw away what it has, until it confirms. Call it in the background
 * when `owesDiscard(move.journal)` after `runMigration` or `resumeMigration`; harmless while it is owed, because the
 * target's CPUs are held. Tries become rarer, and the journal tells of the first that failed and of the one that worked.
 */
export async function settleDiscard(move: Move): Promise<void> {
	// An agent that was killed is mostly back within seconds, and what it holds takes the place of other guests.
	let delayMs: number = deadlines.retryMs;
	while (owesDiscard(move.journal) && !(await discardOnce(move))) {
		if (move.stop.aborted) throw abortError(move.stop);
		await pause(move.ports.clock, delayMs, move.stop);
		delayMs = Math.min(2 * delayMs, deadlines.rareRetryMs);
	}
}

/** Writes the last entry. */
async function end(move: Move, state: "completed" | "failed" | "cancelled"): Promise<MigrationReport> {
	await noteFirmly(move, { type: "ended", state });
	return move.report();
}

/** The journal first: a record that says "moving" without a journal could not be explained. */
async function open(move: Move): Promise<void> {
	const preview = transition(await move.ports.records.read(move.facts.guestId), beginning(move));
	if (preview.verdict === "refuse") throw new SternaError(preview.code, preview.message);
	await move.note({ type: "opened", move: move.facts });
}

async function begin(move: Move): Promise<void> {
	const decision = await move.decide(beginning(move));
	if (decision.verdict === "refuse") throw new SternaError(decision.code, decision.message);
}

function beginning(move: Move) {
	const { migrationId, epoch, target } = move.facts;
	return { type: "beginMove", migrationId, epoch, target, permit: move.needPermit() } as const;
}

function noteUndoing(move: Move, error: SternaError): Promise<void> {
	return noteFirmly(move, { type: "undoing", cancelled: error.code === "cancelled", error: error.toWire() });
}

/** An entry without which it does not go on: the writing is tried again, not the entry. */
async function noteFirmly(move: Move, happening: Happening): Promise<void> {
	await move.note(happening).catch(() => untilDone(move, "the journal could not be written", () => move.flush()));
}

async function perform(move: Move, phase: Phase): Promise<void> {
	await move.note({ type: "phaseBegan", phase: phase.name });
	await phase.do(move);
	await move.note({ type: "phaseDone", phase: phase.name });
}

function isDone(move: Move, phase: Phase): boolean {
	return move.journal.some((entry) => entry.type === "phaseDone" && entry.phase === phase.name);
}

const unconfirmed = "the target has not confirmed the discard yet";

/** True when the target confirmed. A target that refuses has nothing of this move to discard. */
async function discardOnce(move: Move): Promise<boolean> {
	try {
		await phases[0]?.undo?.(move);
	} catch (thrown) {
		const { code, message } = asSternaError(thrown);
		if (code === "unavailable" || code === "timeout" || code === "internal") {
			const isNoted = move.journal.some((entry) => entry.type === "note" && entry.text.startsWith(unconfirmed));
			if (!isNoted) move.remark(`${unconfirmed}: ${message}`);
			return false;
		}
	}
	await noteFirmly(move, { type: "undone", phase: "prepareTarget" });
	return true;
}

/** Repeats until it works, or until this agent ends. The first failure is noted. */
async function untilDone<T>(move: Move, trouble: string, work: () => Promise<T>): Promise<T> {
	for (let failures = 0; ; failures++) {
		try {
			return await work();
		} catch (thrown) {
			if (move.stop.aborted) throw abortError(move.stop);
			if (failures === 0) move.remark(`${trouble}: ${asSternaError(thrown).message}`);
			await pause(move.ports.clock, deadlines.retryMs, move.stop);
		}
	}
}

/** Says every `renewMs` that the source is alive. A lost call is made good by the next: the lease is four times as long. */
function keepTargetWaiting({ ports: { clock, target } }: Move): () => void {
	let stop = () => {};
	const arm = () => {
		stop = clock.after(deadlines.renewMs, () => {
			target.renew().catch(() => {});
			arm();
		});
	};
	arm();
	return () => stop();
}
