import { SternaError } from "@sterna/shared/errors";
import { GuestId, HostId, MigrationId, VolumeId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import type { Decision, HandOverEvent, ProcessState } from "../handover.ts";
import { transition } from "../handover.ts";
import type { JournalEntry, MoveFacts } from "../journal.ts";
import { Move } from "../move.ts";
import type { OwnershipRecord } from "../ownership-record.ts";
import type { MigrationPorts, SourcePort, TargetPort } from "../ports.ts";
import { pause } from "../waiting.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const guestId = GuestId.parse("11111111-1111-4111-8111-111111111111");
export const diskId = VolumeId.parse("22222222-2222-4222-8222-222222222222");
const sourceHostId = HostId.parse("33333333-3333-4333-8333-333333333333");
const targetHostId = HostId.parse("44444444-4444-4444-8444-444444444444");
const migrationId = MigrationId.parse("55555555-5555-4555-8555-555555555555");

export const facts: MoveFacts = {
	migrationId,
	guestId,
	guestName: "web",
	epoch: 2,
	sourceHostId,
	target: { hostId: targetHostId, name: "tern", address: "192.0.2.2", port: 7400 },
	permit: { payload: "cGVybWl0", signature: "c2lnbmVk" },
	options: { maxDowntimeMs: 300, autoConverge: false },
	startedAt: 1_000_000,
};

/** `failBefore`: the call has no effect. `failAfter`: it has, and the answer is lost. */
export type FaultKind =
	| "failBefore"
	| "failAfter"
	| "sourceCrashes"
	| "sourceCrashesAfter"
	| "targetCrashes"
	| "heldProcessDies"
	| "cancel"
	/** From this call on the target cannot be reached for some time. */
	| "targetAway"
	/** The call never comes back. */
	| "hangs"
	/** As `hangs`, and the target cannot be reached for some time: the monitor waits in its last write for a dead link. */
	| "linkDead";
export interface Fault {
	/** Which call, counted from the first of the first life. */
	at: number;
	kind: FaultKind;
	/** How long `targetAway` lasts; a minute when it is not said. */
	awayMs?: number;
}

class Crash extends Error {}

/** Two hosts in memory. Records, journal, disks and processes survive a crash of an agent; nothing else does. */
export class TwoHosts {
	readonly clock = new VirtualClock();
	readonly calls: string[] = [];
	readonly journal: JournalEntry[] = [];
	readonly reports: MigrationReport[] = [];
	readonly cancel = new AbortController();
	readonly source = { record: owner(), process: "running" as ProcessState, disk: true, streams: false };
	readonly target = {
		record: null as OwnershipRecord | null,
		process: "absent" as ProcessState,
		disk: false,
		complete: false,
	};
	/** Every change of who executes the guest, for the log and the invariants. */
	readonly executions: string[] = [];
	/** What closing the source's streams comes to; null: they are closed. */
	streamsStuck: "fail" | "hang" | null = null;
	/** When the source's process came into another state, in order. */
	readonly sourceChangedAt: number[] = [];
	#life = 0;
	#targetAwayUntil = 0;
	#linkDead = false;
	#fault: Fault | null;
	#crashed: ((crash: Crash) => void) | null = null;

	constructor(fault: Fault | null = null) {
		this.#fault = fault;
	}

	/** A life of the source's agent: runs `work` until it ends or the agent dies. Null when it died. */
	async live<T>(work: (move: Move) => Promise<T>): Promise<T | null> {
		const life = ++this.#life;
		if (life > 1) this.clock.pass(1_000);
		const died = new Promise<never>((_, reject) => {
			this.#crashed = reject;
		});
		const move = new Move({
			facts,
			ports: this.#ports(life),
			cancel: life === 1 ? this.cancel.signal : new AbortController().signal,
			stop: new AbortController().signal,
			journal: [...this.journal],
		});
		try {
			return await this.clock.drive(Promise.race([work(move), died]));
		} catch (thrown) {
			if (thrown instanceof Crash) return null;
			throw thrown;
		}
	}

	/** At most one host executes the guest; called at every change. */
	check(): void {
		const running = [this.source.process, this.target.process].filter((process) => process === "running").length;
		if (running > 1) throw new Error("both hosts execute the guest");
		if (this.target.process === "running" && this.target.record?.role !== "owner")
			throw new Error("the target runs what it does not own");
		if (this.source.process === "running" && this.source.record.role !== "owner")
			throw new Error("the source runs what it released");
	}

	#ports(life: number): MigrationPorts {
		const call = <T>(name: string, effect: () => T | Promise<T>) => this.#call(life, name, effect);
		return {
			clock: this.clock,
			publish: (report) => this.reports.push(report),
			journal: {
				append: (entries) => call("journal.append", () => void this.journal.push(...entries)),
				read: async () => [...this.journal],
			},
			records: {
				read: async () => this.source.record,
				update: (_, decide) =>
					call("records.update", async () => {
						const decision = await decide(this.source.record);
						if (decision.verdict === "accept") this.source.record = decision.record;
						this.check();
						return decision;
					}),
			},
			source: this.#sourcePort(call),
			target: this.#targetPort(call),
		};
	}

	#sourcePort(call: Call): SourcePort {
		const { source, target } = this;
		return {
			processState: () => call("source.processState", () => source.process),
			openStreams: () =>
				call("source.openStreams", () => {
					source.streams = true;
					return { memorySocket: "memory", disks: [{ volumeId: diskId, socket: "disk" }] };
				}),
			closeStreams: () =>
				call("source.closeStreams", () => {
					if (this.streamsStuck === "hang") return new Promise<void>(() => {});
					if (this.streamsStuck) throw new SternaError("internal", "the folder of the sockets cannot be removed");
					source.streams = false;
				}),
			copyDisks: ({ onProgress }) =>
				call("source.copyDisks", () => {
					onProgress({ totalBytes: 100, transferredBytes: 100 });
				}),
			copyMemory: ({ onProgress }) =>
				call("source.copyMemory", () => {
					onProgress(memory(1, 80));
					onProgress(memory(2, 5));
					this.#sourceBecomes("paused");
					return { pausedAt: this.clock.now() };
				}),
			switchOver: () =>
				call("source.switchOver", () => {
					if (target.process !== "loading") throw new SternaError("unavailable", "the target's process is gone");
					this.#sourceBecomes("handedOver");
					target.disk = true;
					target.complete = true;
					this.#targetBecomes("loaded");
				}),
			cancelMigration: () =>
				call("source.cancelMigration", async () => {
					// Two questions without an answer, 2 s each, until the process is cut off; with its sockets closed it answers.
					if (this.#linkDead && source.streams) await pause(this.clock, 4000, new AbortController().signal);
					if (source.process !== "running") this.#sourceBecomes("running");
				}),
			retire: () =>
				call("source.retire", () => {
					this.#sourceBecomes("absent");
					source.disk = false;
				}),
		};
	}

	#targetPort(call: Call): TargetPort {
		return {
			prepare: () =>
				call("target.prepare", () => {
					this.#tellTarget({
						type: "prepare",
						guestId,
						migrationId,
						epoch: 2,
						sourceHostId,
						process: this.target.process,
					});
					return { streamPort: 1, memoryTicket: "a", diskTickets: { [diskId]: "b" } };
				}),
			renew: () =>
				call("target.renew", () => {
					const { record, process } = this.target;
					const state =
						record?.role !== "incoming" || process === "absent" ? "absent" : process === "loaded" ? "loaded" : "ready";
					return { state, epoch: record && record.role !== "none" ? record.epoch : null } as const;
				}),
			run: () =>
				call("target.run", () => {
					const { process } = this.target;
					const decision = this.#tellTarget({ type: "run", migrationId, epoch: 2, process });
					const { arrival } = this.target.record ?? {};
					if (decision.verdict === "refuse" || !arrival) throw new SternaError("wrong_state", "refused");
					return { state: "running", restarted: arrival.restarted, resumedAt: arrival.resumedAt ?? 0 } as const;
				}),
			discard: (permit) =>
				call("target.discard", () => {
					if (permit.signature !== facts.permit?.signature) throw new SternaError("forbidden", "another permit");
					this.#tellTarget({ type: "discard", guestId, migrationId, epoch: 2 });
				}),
		};
	}

	/** The target's agent: first the record, then the effects. */
	#tellTarget(event: HandOverEvent): Decision {
		const decision = transition(this.target.record, event);
		if (decision.verdict === "refuse") return decision;
		if (decision.verdict === "accept") this.target.record = decision.record;
		for (const effect of decision.effects) {
			if (effect.do === "startHeld") this.#targetBecomes("loading");
			if (effect.do === "clear") {
				this.#targetBecomes("absent");
				this.target.disk = false;
			}
			if (effect.do === "letGo" || effect.do === "bootFromDisk") {
				if (effect.do === "letGo" && !this.target.complete) throw new Error("the target runs without all memory");
				if (!this.target.disk) throw new Error("the target runs without its disk");
				this.#targetBecomes("running");
				this.#tellTarget({ type: "arrived", migrationId, resumedAt: this.clock.now() });
			}
		}
		return decision;
	}

	#sourceBecomes(process: ProcessState): void {
		if (this.source.process === process) return;
		this.source.process = process;
		this.sourceChangedAt.push(this.clock.now());
		this.executions.push(`source ${process}`);
		this.check();
	}

	#targetBecomes(process: ProcessState): void {
		if (this.target.process === process) return;
		this.target.process = process;
		this.executions.push(`target ${process}`);
		this.check();
	}

	async #call<T>(life: number, name: string, effect: () => T | Promise<T>): Promise<T> {
		if (life !== this.#life) return new Promise(() => {});
		const index = this.calls.push(name) - 1;
		const fault = this.#fault?.at === index ? this.#fault.kind : null;
		if (fault === "linkDead") this.#linkDead = true;
		if (fault === "targetAway" || fault === "linkDead")
			this.#targetAwayUntil = this.clock.now() + (this.#fault?.awayMs ?? 60_000);
		if (name.startsWith("target.") && this.clock.now() < this.#targetAwayUntil) {
			throw new SternaError("unavailable", "the target cannot be reached");
		}
		if (fault === "hangs" || fault === "linkDead") return new Promise(() => {});
		if (fault === "failBefore") throw new SternaError("unavailable", `${name} failed on purpose`);
		if (fault === "sourceCrashes") return this.#crash();
		if (fault === "cancel") this.cancel.abort();
		if (fault === "targetCrashes") this.#tellTarget({ type: "recover", process: this.target.process });
		if (fault === "targetCrashes" && name.startsWith("target."))
			throw new SternaError("unavailable", "the target's agent is gone");
		if (fault === "heldProcessDies" && (this.target.process === "loading" || this.target.process === "loaded"))
			this.#targetBecomes("absent");
		const result = await effect();
		if (life !== this.#life) return new Promise(() => {});
		if (fault === "failAfter") throw new SternaError("timeout", `the answer of ${name} was lost on purpose`);
		if (fault === "sourceCrashesAfter") return this.#crash();
		return result;
	}

	#crash(): Promise<never> {
		this.#life++;
		this.#crashed?.(new Crash());
		return new Promise(() => {});
	}
}

type Call = <T>(name: string, effect: () => T | Promise<T>) => Promise<T>;

function owner(): OwnershipRecord {
	return { role: "owner", guestId, epoch: 1, highestEpoch: 1, outgoing: null, arrival: null };
}

function memory(passes: number, remainingBytes: number) {
	const speeds = { dirtyBytesPerSecond: 1, bytesPerSecond: 100, expectedDowntimeMs: 10 };
	return { totalBytes: 100, transferredBytes: 100 * passes, remainingBytes, passes, ...speeds };
}
