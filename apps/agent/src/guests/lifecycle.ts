import type { Hypervisor, HypervisorEvent, ProcessReport } from "@sterna/hypervisor/hypervisor";
import { type Decision, type Effect, type HandOverEvent, transition } from "@sterna/migration/handover";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { GuestReport, GuestSpec } from "@sterna/shared/guest";
import type { Epoch, GuestId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";
import { maxGuestsPerHost } from "@sterna/shared/protocol/report";
import type { Logger } from "pino";
import type { AgentContext, Announcer } from "../context.ts";
import { ArrivingFiles } from "../migrations/incoming-file.ts";
import { claimConflict, sameSpec } from "./claims.ts";
import { decide, type LifecycleCommand } from "./decide.ts";
import type { Hold } from "./holds.ts";
import { asideOf } from "./lacking.ts";
import type { KnownGuest } from "./store.ts";
import { stateOf, type Transient, viewGuest } from "./view.ts";

type Needs = Pick<
	AgentContext,
	"hypervisor" | "store" | "queue" | "holds" | "places" | "clock" | "log" | "bootId" | "dataDir"
> & { announce: Pick<Announcer, "guestChanged"> };

/** A guest as it is now, without its place in the agent's sequence. */
export type GuestView = Omit<GuestReport, "generation">;

/** The life of this server's guests: every command decides on the grant first, then on the state, then acts, then tells. */
export class Guests {
	readonly #needs: Needs;
	readonly #hypervisor: Hypervisor;
	readonly #arriving: ArrivingFiles;
	readonly #log: Logger;
	readonly #processes = new Map<GuestId, ProcessReport>();
	readonly #transients = new Map<GuestId, Transient>();
	readonly #creating = new Map<GuestId, GuestSpec>();
	readonly #stopListening: () => void;

	constructor(needs: Needs) {
		this.#needs = needs;
		this.#hypervisor = needs.hypervisor;
		this.#arriving = new ArrivingFiles(needs.dataDir);
		this.#log = needs.log.child({ part: "guests" });
		this.#stopListening = this.#hypervisor.onEvent((event) => this.#onEvent(event));
	}

	/**
	 * Takes up what an earlier life of the agent left: running guests go on, half-done deletions are finished. A process
	 * whose guest is unknown or damaged is left alone: what is not understood is not ended.
	 */
	async adopt(): Promise<void> {
		const { store } = this.#needs;
		for (const process of await this.#hypervisor.adopt()) {
			const { guestId, state } = process;
			this.#processes.set(guestId, process);
			const record = store.get(guestId)?.record;
			if (!record) this.#log.error({ guestId }, "a guest runs here that has no readable record");
			else if (record.role === "none") await this.#orLater(guestId, () => this.#hypervisor.powerOff(guestId));
			else this.#log.info({ guestId, state }, "guest adopted");
		}
		for (const { guestId, reason } of store.damaged()) this.#log.error({ guestId, reason }, "guest folder damaged");
		for (const guest of store.list()) {
			if (guest.record.role === "none") await this.#orLater(guest.guestId, () => this.#bury(guest));
		}
	}

	/** Clean-up that the next life of the agent tries again: a disk that hangs under one guest keeps the others from nothing. */
	async #orLater(guestId: GuestId, cleanUp: () => Promise<void>): Promise<void> {
		await cleanUp().catch((err: unknown) =>
			this.#log.error({ guestId, err }, "a guest that left is not cleaned up yet"),
		);
	}

	/** The guest as it is now; null when it is not here. */
	view(guestId: GuestId): GuestView | null {
		const guest = this.#needs.store.get(guestId);
		return guest?.spec ? viewGuest(this.#sight({ ...guest, spec: guest.spec })) : null;
	}

	views(): GuestView[] {
		return this.#needs.store.list().flatMap((guest) => viewGuest(this.#sight(guest)) ?? []);
	}

	/** True while serial output may still come. */
	isAlive(guestId: GuestId): boolean {
		const process = this.#processes.get(guestId)?.state ?? "absent";
		return this.#transients.get(guestId) === "starting" || (process !== "absent" && process !== "handedOver");
	}

	/**
	 * Makes the guest's volumes, then takes the grant, then stores the spec: whatever fails in between, the same call
	 * again completes it, and a refused grant has made nothing. A guest that was arriving here under an older grant is
	 * stopped: its volumes stay, its memory does not.
	 */
	create(spec: GuestSpec, epoch: Epoch): Promise<GuestView> {
		return this.#needs.queue.run(spec.id, async () => {
			const { store, places } = this.#needs;
			const before = store.get(spec.id);
			if (before?.spec && before.record.role !== "none" && !sameSpec(before.spec, spec)) {
				throw new SternaError("conflict", `guest ${spec.name} is here already with another specification`);
			}
			if (!before?.spec && store.list().length + this.#creating.size >= maxGuestsPerHost) {
				throw new SternaError("no_capacity", `this host has ${maxGuestsPerHost} guests already, which is the most`);
			}
			await this.#makeWay(spec, epoch);
			const conflict = claimConflict(spec, [...store.list().map((guest) => guest.spec), ...this.#creating.values()]);
			if (conflict) throw new SternaError("conflict", conflict);
			this.#creating.set(spec.id, spec);
			try {
				await places.createVolumes(spec.volumes, "images");
				await this.#takeGrant(spec, epoch);
				if (!before?.spec) await store.writeSpec(spec);
			} finally {
				this.#creating.delete(spec.id);
			}
			return this.#told(spec.id);
		});
	}

	/**
	 * Puts a guest here whose volumes were restored: takes the grant, lets `swap` put them into place, then stores the spec.
	 * A guest of that id that is here must have no process, and its grant must be lower. Whatever fails in between, the same
	 * call again completes it; so `swap` must be right also where it was done before.
	 */
	restore(spec: GuestSpec, epoch: Epoch, swap: () => Promise<void>): Promise<GuestView> {
		return this.#needs.queue.run(spec.id, async () => {
			const { store, places } = this.#needs;
			await this.#inspect(spec.id);
			if (this.#hasProcess(spec.id)) {
				throw new SternaError("wrong_state", `guest ${spec.name} runs; nothing is restored over a running guest`, {
					cure: "power it off first, or restore to a new guest",
				});
			}
			await this.#makeWay(spec, epoch);
			const conflict = claimConflict(
				spec,
				store.list().map((guest) => guest.spec),
			);
			if (conflict) throw new SternaError("conflict", conflict);
			await this.#takeGrant(spec, epoch);
			await swap();
			await places.createVolumes(spec.volumes, "images");
			await store.writeSpec(spec);
			return this.#told(spec.id);
		});
	}

	/** `own`: the hold of who asks for it. */
	start(guestId: GuestId, epoch: Epoch, own?: Hold): Promise<GuestView> {
		return this.#command("start", guestId, epoch, async ({ spec }) => {
			const { store, places, clock, bootId, holds } = this.#needs;
			holds.refuseIfHeld(guestId, spec.name, "start", own);
			const request = await places.startRequest(spec);
			const sources = holds.sourcesOf(guestId);
			await store.writeRun(guestId, { desired: "running", startedAt: clock.now(), bootId, ending: null });
			this.#transient(guestId, "starting");
			try {
				const process = await (sources
					? this.#hypervisor.startFrom(request, sources)
					: this.#hypervisor.start(request));
				this.#processes.set(guestId, process);
				if (process.machine && !spec.machine) await store.writeSpec({ ...spec, machine: process.machine });
			} catch (error) {
				await this.#inspect(guestId);
				if (!this.#hasProcess(guestId)) await store.writeRun(guestId, { desired: "stopped" });
				throw error;
			} finally {
				this.#transient(guestId, null);
			}
		});
	}

	shutDown(guestId: GuestId, epoch: Epoch): Promise<GuestView> {
		return this.#command("shutDown", guestId, epoch, async () => {
			await this.#needs.store.writeRun(guestId, { desired: "stopped" });
			await this.#hypervisor.shutDown(guestId);
			if (this.#hasProcess(guestId)) this.#transient(guestId, "stopping");
		});
	}

	powerOff(guestId: GuestId, epoch: Epoch): Promise<GuestView> {
		return this.#command("powerOff", guestId, epoch, async () => {
			await this.#needs.store.writeRun(guestId, { desired: "stopped" });
			await this.#hypervisor.powerOff(guestId);
			await this.#inspect(guestId);
			this.#transient(guestId, null);
		});
	}

	pause(guestId: GuestId, epoch: Epoch): Promise<GuestView> {
		return this.#command("pause", guestId, epoch, async () => {
			await this.#hypervisor.pause(guestId);
			await this.#inspect(guestId);
		});
	}

	resume(guestId: GuestId, epoch: Epoch): Promise<GuestView> {
		return this.#command("resume", guestId, epoch, async () => {
			await this.#hypervisor.resume(guestId);
			await this.#inspect(guestId);
		});
	}

	/**
	 * The volumes go only after the ownership record has let go of the guest; an interrupted deletion is finished by the same
	 * call again, or by the next life of the agent. `own`: the hold of who asks for it.
	 */
	async delete(guestId: GuestId, epoch: Epoch, own?: Hold): Promise<void> {
		await this.#needs.queue.run(guestId, async () => {
			const { store } = this.#needs;
			const half = store.list().find((one) => one.guestId === guestId && one.record.role === "none");
			if (half?.run.desired === "deleted") return this.#bury(half);
			const guest = this.#decideOn("delete", guestId, epoch).guest;
			this.#needs.holds.refuseIfHeld(guestId, guest.spec.name, "delete", own);
			await store.writeRun(guestId, { desired: "deleted" });
			refuseIfRefused(
				guest.spec.name,
				await store.update(guestId, (record) => transition(record, { type: "forget", epoch })),
			);
			await this.#bury({ ...guest, run: { ...guest.run, desired: "deleted" } });
		});
	}

	/** Looks at the guest's process anew, after somebody else (a migration) has started or ended it, and tells. */
	async refresh(guestId: GuestId): Promise<void> {
		try {
			await this.#inspect(guestId);
		} finally {
			// Its record may have changed, whatever its process says.
			this.#needs.announce.guestChanged(guestId);
		}
	}

	close(): void {
		this.#stopListening();
	}

	/** What the grant finds here. */
	async #granted(guestId: GuestId, epoch: Epoch): Promise<HandOverEvent> {
		const { state } = await this.#hypervisor.inspect(guestId);
		// A copy that has failed is as incomplete as one that is still arriving.
		const isLoaded = state === "loading" && (await this.#hypervisor.isLoaded(guestId).catch(() => false));
		const process = isLoaded ? "loaded" : state;
		const arriving = await this.#arriving.read(guestId);
		const fillsVolumes = arriving !== null && arriving.copiedVolumes.length > 0;
		return { type: "grant", guestId, epoch, process, fillsVolumes, at: this.#needs.clock.now() };
	}

	/** Before volumes are made: refuses what the grant does not allow, and takes away what a discarded move left. */
	async #makeWay(spec: GuestSpec, epoch: Epoch): Promise<void> {
		const { store } = this.#needs;
		const decision = transition(await store.read(spec.id), await this.#granted(spec.id, epoch));
		if (!refuseIfRefused(spec.name, decision).some((effect) => effect.do === "clear")) return;
		await this.#hypervisor.powerOff(spec.id);
		await this.#arriving.deleteVolumes(spec.id, this.#needs);
		await this.#arriving.remove(spec.id);
	}

	/** Takes the grant. The streams and the lease of a move that it replaces are let go when the lease is over. */
	async #takeGrant(spec: GuestSpec, epoch: Epoch): Promise<void> {
		const decision = await this.#needs.store.update(spec.id, async (record) =>
			transition(record, await this.#granted(spec.id, epoch)),
		);
		if (!refuseIfRefused(spec.name, decision).some((effect) => effect.do === "endProcess")) return;
		this.#log.warn({ guestId: spec.id, epoch }, "a grant replaces a move; the memory that it left is thrown away");
		await this.#needs.store.writeRun(spec.id, { desired: "stopped" });
		await this.#hypervisor.powerOff(spec.id);
		await this.#inspect(spec.id);
		await this.#arriving.remove(spec.id);
	}

	#hasProcess(guestId: GuestId): boolean {
		return (this.#processes.get(guestId)?.state ?? "absent") !== "absent";
	}

	#command(
		command: LifecycleCommand,
		guestId: GuestId,
		epoch: Epoch,
		act: (guest: KnownGuest) => Promise<void>,
	): Promise<GuestView> {
		return this.#needs.queue.run(guestId, async () => {
			const { guest, accepted } = this.#decideOn(command, guestId, epoch);
			if (accepted) {
				this.#log.info({ guestId, epoch, command }, "guest command");
				try {
					await act(guest);
				} finally {
					this.#needs.announce.guestChanged(guestId);
				}
			}
			return this.#told(guestId);
		});
	}

	#decideOn(command: LifecycleCommand, guestId: GuestId, epoch: Epoch): { guest: KnownGuest; accepted: boolean } {
		const stored = this.#needs.store.get(guestId);
		const guest = stored?.spec ? { ...stored, spec: stored.spec } : null;
		const verdict = decide(command, {
			name: guest?.spec.name ?? guestId,
			record: guest?.record ?? null,
			epoch,
			state: guest ? stateOf(this.#sight(guest)).state : "stopped",
		});
		if (verdict.verdict === "refuse") throw new SternaError(verdict.code, verdict.message);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} is not on this host`);
		return { guest, accepted: verdict.verdict === "accept" };
	}

	#onEvent(event: HypervisorEvent): void {
		switch (event.type) {
			case "stateChanged":
				this.#see(event.report);
				this.#needs.announce.guestChanged(event.report.guestId);
				return;
			case "poweredOff":
				this.#ended(event.guestId, null);
				return;
			case "crashed":
				this.#log.error({ guestId: event.guestId, ending: event.ending }, "guest crashed");
				this.#ended(event.guestId, printable(event.ending));
				return;
			case "rebooted":
				this.#log.info({ guestId: event.guestId }, "guest rebooted");
				return;
			case "diskError": {
				const { guestId, volumeId, operation } = event;
				this.#log.error(
					{ guestId, volumeId, operation, text: printable(event.text) },
					"a volume gave the guest an error",
				);
				return;
			}
		}
	}

	/** The process is gone: by the guest's own wish, or with an ending that nobody asked for. */
	#ended(guestId: GuestId, ending: string | null): void {
		this.#processes.delete(guestId);
		this.#transients.delete(guestId);
		const guest = this.#needs.store.get(guestId);
		const asked = guest?.record.role !== "owner" || guest.run.desired !== "running";
		const stored = asked
			? Promise.resolve()
			: this.#needs.store.writeRun(guestId, ending === null ? { desired: "stopped" } : { ending });
		stored
			.catch((thrown: unknown) => this.#log.error({ guestId, err: asSternaError(thrown) }, "guest's ending not stored"))
			.finally(() => this.#needs.announce.guestChanged(guestId));
	}

	async #bury(guest: KnownGuest): Promise<void> {
		const { store, places, announce } = this.#needs;
		await this.#hypervisor.powerOff(guest.guestId);
		this.#processes.delete(guest.guestId);
		if (guest.run.desired === "deleted") {
			const volumes = places.volumes(guest.spec);
			for (const location of [...volumes, ...asideOf(guest.run.lacking, volumes)]) {
				await this.#hypervisor.deleteVolume(location);
			}
			await this.#hypervisor.forget(guest.guestId);
		}
		await store.bury(guest.guestId);
		announce.guestChanged(guest.guestId);
	}

	async #inspect(guestId: GuestId): Promise<void> {
		this.#see(await this.#hypervisor.inspect(guestId));
	}

	#see(process: ProcessReport): void {
		if (process.state !== "absent") {
			this.#processes.set(process.guestId, process);
			return;
		}
		this.#processes.delete(process.guestId);
		// A power button was pressed for that process, not for one that comes later.
		if (this.#transients.get(process.guestId) === "stopping") this.#transients.delete(process.guestId);
	}

	#transient(guestId: GuestId, transient: Transient): void {
		if (transient) this.#transients.set(guestId, transient);
		else this.#transients.delete(guestId);
		this.#needs.announce.guestChanged(guestId);
	}

	#sight(guest: KnownGuest) {
		return {
			guest,
			process: this.#processes.get(guest.guestId) ?? null,
			transient: this.#transients.get(guest.guestId) ?? null,
			bootId: this.#needs.bootId,
		};
	}

	#told(guestId: GuestId): GuestView {
		this.#needs.announce.guestChanged(guestId);
		const view = this.view(guestId);
		if (!view) throw new SternaError("not_found", `guest ${guestId} is not on this host`);
		return view;
	}
}

function refuseIfRefused(name: string, decision: Decision): Effect[] {
	if (decision.verdict === "refuse") throw new SternaError(decision.code, `guest ${name}: ${decision.message}`);
	return decision.effects;
}
