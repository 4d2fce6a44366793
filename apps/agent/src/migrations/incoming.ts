import type { ProcessState } from "@sterna/hypervisor/hypervisor";
import { deadlines } from "@sterna/migration/deadlines";
import { type Effect, type HandOverEvent, transition } from "@sterna/migration/handover";
import type { Arrival } from "@sterna/migration/ownership-record";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestId, HostId, MigrationId } from "@sterna/shared/ids";
import type { Output, ParsedInput } from "@sterna/shared/protocol/commands";
import type { Caller } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import type { AgentContext } from "../context.ts";
import { openTargetTransfer, type TargetTransfer } from "../streams/streams.ts";
import { ArrivingFiles } from "./incoming-file.ts";
import type { Life } from "./life.ts";
import type { Observe } from "./observe.ts";
import { refuseLatePermit } from "./permit.ts";
import { refuseArriving, volumesToCopy } from "./plan.ts";

/** Acts after so long; the returned function takes that back. */
export type After = (delayMs: number, action: () => void) => () => void;

/** What a guest that is arriving has in this process; its facts are in the record. */
interface Arriving {
	transfer: TargetTransfer | null;
	stopLease: () => void;
}

/**
 * The guests that come to this host. Every decision is `transition`'s: first the record, durably, then its effects. The
 * guest's queue keeps effects apart, the record's lock keeps what was seen true until it is written or answered.
 */
export class IncomingMoves {
	readonly #context: AgentContext;
	readonly #files: ArrivingFiles;
	readonly #life: Life;
	readonly #observe: Observe;
	readonly #after: After;
	readonly #log: Logger;
	readonly #arriving = new Map<GuestId, Arriving>();
	/** Guests whose preparing is queued or under way, for `renew`. */
	readonly #preparing = new Set<GuestId>();

	constructor(options: { context: AgentContext; life: Life; observe: Observe; after: After }) {
		const { context, life } = options;
		this.#context = {
			...context,
			hypervisor: life.bound(context.hypervisor),
			store: life.bound(context.store),
		};
		this.#files = life.bound(new ArrivingFiles(context.dataDir));
		this.#life = life;
		this.#observe = options.observe;
		this.#after = options.after;
		this.#log = context.log.child({ part: "migrations", role: "target" });
	}

	/** What refuses the guest here; changes nothing. */
	async check({ guest }: ParsedInput<"incoming.check">): Promise<Output<"incoming.check">> {
		return { refusals: await refuseArriving(this.#context, guest) };
	}

	/**
	 * Makes room for a guest and starts it with its CPUs held. On failure nothing of it is left.
	 * @throws {SternaError} `forbidden`, `conflict`, and what `check` names.
	 */
	async prepare(input: ParsedInput<"incoming.prepare">, caller: Caller): Promise<Output<"incoming.prepare">> {
		const { hostId, clock, queue, verifyPermit } = this.#context;
		const permit = verifyPermit(input.permit);
		const { guestId, migrationId, epoch, sourceHostId } = permit;
		if (permit.targetHostId !== hostId || caller.hostId !== sourceHostId || input.guest.spec.id !== guestId) {
			throw new SternaError("forbidden", "the permit is for another guest or another pair of hosts");
		}
		this.#preparing.add(guestId);
		try {
			return await queue.run(guestId, async () => {
				refuseLatePermit(permit, clock.now());
				const [refusal] = await refuseArriving(this.#context, input.guest);
				if (refusal) throw new SternaError(refusal.code, refusal.message, refusal.cure ? { cure: refusal.cure } : {});
				const prepare = async () => {
					const { state: process } = await this.#context.hypervisor.inspect(guestId);
					return { type: "prepare", guestId, migrationId, epoch, sourceHostId, process } as const;
				};
				let decision = await this.#decide(guestId, prepare);
				// Of an earlier move.
				if (decision.effects.length > 0 || decision.verdict === "accept") await this.#letGoOf(guestId);
				if (decision.effects.some((effect) => effect.do === "clear")) {
					await this.#context.hypervisor.powerOff(guestId);
					decision = await this.#decide(guestId, prepare);
				}
				if (decision.verdict !== "accept") {
					throw new SternaError("conflict", "the guest is being received under this permit already");
				}
				try {
					return await this.#receive(input, { migrationId, sourceHostId });
				} catch (thrown) {
					await this.#decide(guestId, { type: "discard", guestId, migrationId, epoch });
					await this.#clear(guestId);
					throw thrown;
				}
			});
		} finally {
			this.#preparing.delete(guestId);
		}
	}

	/** How far the guest is. `loaded` is binding: from this answer on the target never discards by itself. */
	async renew(
		{ migrationId, guestId }: ParsedInput<"incoming.renew">,
		caller: Caller,
	): Promise<Output<"incoming.renew">> {
		let answer: Output<"incoming.renew"> = { state: "absent", epoch: null };
		await this.#context.store.update(guestId, async (record) => {
			if (record?.role === "incoming" && record.migrationId === migrationId) {
				refuseOtherSource(record.sourceHostId, caller);
				this.#armLease(guestId);
				const process = await this.#processState(guestId);
				answer = { state: incomingState(process, this.#preparing.has(guestId)), epoch: record.epoch };
			} else if (record?.arrival?.migrationId === migrationId) {
				answer = { state: "running", epoch: record.arrival.epoch };
			} else if (record) {
				answer = { state: "discarded", epoch: record.highestEpoch };
			}
			return { verdict: "keep", effects: [] };
		});
		return answer;
	}

	/**
	 * The guest is this host's now, and its CPUs are let go. Again: the same answer.
	 * @throws {SternaError} `wrong_state` when it was discarded here or is not complete.
	 */
	run({ migrationId, guestId, epoch }: ParsedInput<"incoming.run">, caller: Caller): Promise<Output<"incoming.run">> {
		return this.#context.queue.run(guestId, async () => {
			const before = await this.#context.store.read(guestId);
			if (before?.role === "incoming") refuseOtherSource(before.sourceHostId, caller);
			const { effects } = await this.#decide(guestId, async () => {
				return { type: "run", migrationId, epoch, process: await this.#processState(guestId) };
			});
			const arrival = await this.#bringUp(guestId, effects);
			if (!arrival || arrival.resumedAt === null) {
				throw new SternaError("internal", `guest ${guestId} did not come up`);
			}
			return { state: "running" as const, restarted: arrival.restarted, resumedAt: arrival.resumedAt };
		});
	}

	/**
	 * Throws away what arrived, and refuses its epoch from then on. Settled otherwise: no change.
	 * @throws {SternaError} `forbidden` to anyone but the source that the console's permit names: whoever could raise the
	 * epochs that a host refuses could keep guests off it.
	 */
	async discard(input: ParsedInput<"incoming.discard">, caller: Caller): Promise<Output<"incoming.discard">> {
		const { hostId, queue, verifyPermit } = this.#context;
		const { guestId, migrationId, epoch, sourceHostId, targetHostId } = verifyPermit(input.permit);
		if (targetHostId !== hostId) throw new SternaError("forbidden", "the permit is for another target");
		refuseOtherSource(sourceHostId, caller);
		return queue.run(guestId, async () => {
			await this.#observe("target:discard");
			await this.#decide(guestId, { type: "discard", guestId, migrationId, epoch });
			await this.#clear(guestId);
			return { state: "discarded" as const };
		});
	}

	/**
	 * After a restart of the agent. Incomplete guests wait for their lease, complete ones for their source; a guest that
	 * this host owns but had not let go runs now, from its disks when its process is gone. What a grant made void is ended.
	 */
	async resumeAll(): Promise<void> {
		const { store, queue } = this.#context;
		for (const { guestId, record, run } of store.list()) {
			if (record.role === "incoming") this.#armLease(guestId);
			if (record.role !== "owner" || record.outgoing) continue;
			// After a reboot of the server the word to start comes from outside: from the source, which asks until it is heard.
			if (run.bootId !== this.#context.bootId) continue;
			await queue
				.run(guestId, async () => {
					const { effects } = await this.#decide(guestId, async () => {
						return { type: "recover", process: await this.#processState(guestId) };
					});
					await this.#bringUp(guestId, effects);
				})
				// Its source asks again until it runs.
				.catch((thrown: unknown) => this.#log.error({ guestId, err: asSternaError(thrown) }, "guest did not come up"));
		}
		for (const guestId of await this.#files.list()) {
			if (store.get(guestId)?.record.role !== "incoming") await queue.run(guestId, () => this.#clear(guestId));
		}
	}

	async close(): Promise<void> {
		const arriving = [...this.#arriving.values()];
		this.#arriving.clear();
		for (const { stopLease } of arriving) stopLease();
		await Promise.all(arriving.map(({ transfer }) => transfer?.destroy()));
	}

	/** The record says incoming. Volumes that will be filled are made anew: what a former try left in them would stay. */
	async #receive(
		{ guest, startedAt }: ParsedInput<"incoming.prepare">,
		{ migrationId, sourceHostId }: { migrationId: MigrationId; sourceHostId: HostId },
	): Promise<Output<"incoming.prepare">> {
		const { store, places, hypervisor, bootId, config, facts, announce } = this.#context;
		const spec = { ...guest.spec, machine: guest.machine };
		const guestId = spec.id;
		await this.#observe("target:prepare");
		await store.writeSpec(spec);
		await store.writeRun(guestId, { desired: "running", startedAt, bootId, ending: null });
		const copied = volumesToCopy(guest, await facts());
		const copiedVolumes = copied.map(({ id }) => id);
		await this.#files.write({ migrationId, spec, copiedVolumes });
		await this.#files.deleteVolumes(guestId, this.#context);
		await places.createVolumes(copied, "empty");
		const { memorySocket, diskSocket } = await hypervisor.accept({
			...(await places.startRequest(spec)),
			machine: guest.machine,
			copiedVolumes,
			seats: guest.seats,
		});
		const { key, cert, ca } = this.#context.credentials();
		const transfer = await openTargetTransfer({
			identity: { key, certificate: cert, authority: ca },
			peerHostId: sourceHostId,
			listenAddress: config.listenAddress,
			portRange: config.streamPorts,
			memorySocket,
			diskSocket,
			copiedVolumes,
			onRefused: (reason) => this.#log.warn({ migrationId, reason }, "a stream was turned away"),
		});
		void transfer.ended.then((error) => error && this.#log.warn({ migrationId, err: error }, "streams died"));
		this.#armLease(guestId).transfer = transfer;
		announce.guestChanged(guestId);
		await this.#observe("target:prepared");
		const { port, memoryTicket, diskTickets } = transfer;
		return { streamPort: port, memoryTicket, diskTickets };
	}

	/** Carries out what `run` or `recover` decided; the arrival that is to be answered, if any. */
	async #bringUp(guestId: GuestId, effects: readonly Effect[]): Promise<Arrival | null> {
		const { hypervisor, places, store, clock, bootId } = this.#context;
		for (const effect of effects) {
			if (effect.do === "answerRun") return effect.arrival;
			if (effect.do === "endProcess") await hypervisor.powerOff(guestId);
			if (effect.do !== "letGo" && effect.do !== "bootFromDisk") continue;
			this.#log.info({ guestId }, "guest was handed over here and is brought up");
			await this.#observe("target:owned");
			let resumedAt: number;
			if (effect.do === "letGo") ({ resumedAt } = await hypervisor.release(guestId));
			else {
				const spec = store.get(guestId)?.spec;
				if (!spec) throw new SternaError("internal", `guest ${guestId} has no specification here`);
				this.#log.warn({ guestId }, "the memory of an arriving guest is lost: it starts from its disks");
				await hypervisor.start(await places.startRequest(spec));
				resumedAt = clock.now();
				await store.writeRun(guestId, { startedAt: resumedAt, bootId });
			}
			const migrationId = store.get(guestId)?.record.arrival?.migrationId;
			if (!migrationId) throw new SternaError("internal", `guest ${guestId} came up without an arrival`);
			const arrived = await this.#decide(guestId, { type: "arrived", migrationId, resumedAt: Math.round(resumedAt) });
			await this.#observe("target:resumed");
			this.#life.background(
				this.#context.queue.run(guestId, () => this.#settle(guestId)),
				(err) => this.#log.warn({ guestId, err }, "what an arrived guest does not need any more was not removed"),
			);
			return this.#bringUp(guestId, arrived.effects);
		}
		return null;
	}

	/** The guest stays: what was needed for its coming is let go. */
	async #settle(guestId: GuestId): Promise<void> {
		await this.#letGoOf(guestId);
		await this.#files.remove(guestId);
	}

	/** Ends whatever there is of a guest that does not stay, and deletes the volumes made for it. Repeatable. */
	async #clear(guestId: GuestId): Promise<void> {
		const { store, hypervisor, announce } = this.#context;
		const role = store.get(guestId)?.record.role;
		// By a later move: what told us to clear is of an earlier one.
		if (role === "incoming") return;
		await this.#letGoOf(guestId);
		if (role === "none") {
			await hypervisor.powerOff(guestId);
			await this.#files.deleteVolumes(guestId, this.#context);
			await store.bury(guestId);
			announce.guestChanged(guestId);
		}
		await this.#files.remove(guestId);
	}

	async #letGoOf(guestId: GuestId): Promise<void> {
		const arriving = this.#arriving.get(guestId);
		this.#arriving.delete(guestId);
		arriving?.stopLease();
		await arriving?.transfer?.destroy();
	}

	#armLease(guestId: GuestId): Arriving {
		const arriving = this.#arriving.get(guestId) ?? { transfer: null, stopLease: () => {} };
		arriving.stopLease();
		arriving.stopLease = this.#after(deadlines.leaseMs, () => {
			this.#life.background(
				this.#context.queue.run(guestId, () => this.#onLeaseOver(guestId)),
				(thrown) => this.#log.error({ guestId, err: asSternaError(thrown) }, "lease could not be ended"),
			);
		});
		this.#arriving.set(guestId, arriving);
		return arriving;
	}

	async #onLeaseOver(guestId: GuestId): Promise<void> {
		const { verdict } = await this.#decide(guestId, async () => {
			// A copy that has failed is as incomplete as one that is still arriving.
			const process = await this.#processState(guestId).catch((): ProcessState => "loading");
			return { type: "leaseExpired", process };
		});
		if (verdict === "accept") {
			this.#log.warn({ guestId }, "the source was silent for too long: what it sent is discarded");
			await this.#clear(guestId);
		} else if ((await this.#context.store.read(guestId))?.role === "incoming") {
			this.#log.info({ guestId }, "the source is silent; the guest is complete here and waits for its word");
			this.#armLease(guestId);
		} else await this.#settle(guestId);
	}

	/** @throws {SternaError} when the transition refuses. */
	async #decide(guestId: GuestId, event: HandOverEvent | (() => Promise<HandOverEvent>)) {
		const { store, announce } = this.#context;
		const decision = await store.update(guestId, async (record) =>
			transition(record, typeof event === "function" ? await event() : event),
		);
		if (decision.verdict === "refuse") throw new SternaError(decision.code, decision.message);
		if (decision.verdict === "accept") announce.guestChanged(guestId);
		return decision;
	}

	/** `loaded` as soon as it is true, not when the driver's next report says so. */
	async #processState(guestId: GuestId): Promise<ProcessState> {
		const { hypervisor } = this.#context;
		const { state } = await hypervisor.inspect(guestId);
		return state === "loading" && (await hypervisor.isLoaded(guestId)) ? "loaded" : state;
	}
}

function incomingState(process: ProcessState, isPreparing: boolean): Output<"incoming.renew">["state"] {
	if (isPreparing) return "preparing";
	if (process === "loaded") return "loaded";
	return process === "absent" ? "absent" : "ready";
}

function refuseOtherSource(sourceHostId: HostId, caller: Caller): void {
	if (caller.hostId === sourceHostId) return;
	throw new SternaError("forbidden", "the guest is coming from another host");
}
