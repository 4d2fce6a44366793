import { setTimeout as delay } from "node:timers/promises";
import type { HypervisorEvent, VolumeSource } from "@sterna/hypervisor/hypervisor";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { AgentContext } from "../context.ts";
import { noteBrought } from "./give-up.ts";
import type { RestoreFacts } from "./journal.ts";
import { checkPoint, type RestoreNeeds, socketPath } from "./needs.ts";
import { type PointServer, servePoint } from "./point-server.ts";
import { dropAside, dropMade, placeVolumes, restoredVolumes, takeBack } from "./volumes.ts";

/** How often it is looked whether a guest that is stopped or held goes on. */
const lookMs = 500;
/** A guest that runs and cannot be served is served again after growing pauses. */
const pausesMs = { first: 1_000, longest: 60_000 };

/** Brings a guest back at once: it runs from the repository while its volumes are filled. */
export async function instantRestore(needs: RestoreNeeds): Promise<void> {
	const { context, guests, task } = needs;
	const { spec, epoch } = task.facts;
	await task.begin("prepare");
	task.totalBytes = await checkPoint(needs);
	const volumes = restoredVolumes(context, task.facts);
	await dropMade(volumes);
	for (const { made, sizeBytes } of volumes) await context.hypervisor.createVolume({ ...made, sizeBytes });
	await task.note({ type: "placing" });
	await guests.restore(spec, epoch, () => placeVolumes(volumes));
	await noteBrought(context, task);
	await fillGuest(needs);
}

/**
 * Starts the guest and serves what it lacks until it has everything. Also the way on after a restart of the agent: QEMU
 * connects again to the same socket. From the boot on it is tried for as long as it takes: what the guest has written is
 * nowhere else, so only the end of the agent ends it.
 */
export async function fillGuest(needs: RestoreNeeds): Promise<void> {
	const { context, task, signal, hold } = needs;
	const { spec, volumes } = task.facts;
	const { holds } = context;
	const socket = socketPath(context, task.facts);
	const sources: VolumeSource[] = volumes.map(({ to }) => ({ volumeId: to, socket, exportName: to }));
	const letGo = holds.place(spec.id, {
		reason: "is being filled from a backup: its volumes are not complete yet",
		refuses: ["delete", "migrate", "backup", "changeVolumes", "restore"],
		sources,
	});
	// Whoever starts it from here on starts it from its sources. Before, only the restore does, and knows whether it has.
	if (task.has("booted")) hold.letGo();
	try {
		for (let pauseMs = pausesMs.first; !task.has("filled"); pauseMs = Math.min(pauseMs * 2, pausesMs.longest)) {
			try {
				await serveAndFill(needs);
			} catch (thrown) {
				if (signal.aborted || !task.onlyForward) throw thrown;
				task.setWaiting(`the guest is filled on later: ${asSternaError(thrown).message}`.slice(0, 300));
				await delay(pauseMs, undefined, { signal }).catch(() => {});
				if (signal.aborted) throw signal.reason;
			}
		}
	} finally {
		// Without its sources and incomplete: nobody touches it before it is undone.
		if (!task.has("filled")) hold.take();
		letGo();
	}
	// Everything came in the very moment in which a person gave it up: then nothing is lacking.
	await noteBrought(context, task);
	await task.begin("finish");
	await finishInstant(needs);
}

async function serveAndFill(needs: RestoreNeeds): Promise<void> {
	const { context, repositories, task, signal } = needs;
	const { pointId, volumes } = task.facts;
	// Before anything is waited for: what certainly has not run can be cancelled meanwhile.
	await clearDoubt(needs);
	const server = await servePoint({
		repositories,
		access: () => needs.access,
		pointId,
		restoreId: task.facts.restoreId,
		volumes,
		socketPath: socketPath(context, task.facts),
		manner: "held",
		waitsFor: task.onlyForward ? "anything" : "away",
		signal,
		onAway: (reason) => task.setWaiting(reason),
		onServed: () => {},
	});
	task.setWaiting(null);
	const stopHelping = helpHeld(needs, server);
	try {
		if (!task.has("booted")) await boot(needs);
		await task.begin("stream");
		await fill(needs, server);
		await task.note({ type: "filled" });
	} finally {
		stopHelping();
		await server.close();
	}
}

/**
 * Starts the guest, or sees that an earlier life has. The journal says so first, and from then on nobody undoes it, unless it
 * is certain that nothing was written. When fulfilled others may start the guest too.
 */
async function boot(needs: RestoreNeeds): Promise<void> {
	const { context, guests, task, signal, hold } = needs;
	const { spec, epoch } = task.facts;
	await task.begin("boot");
	if (signal.aborted) throw signal.reason;
	if (!task.mayHaveRun) {
		await task.note({ type: "booting" });
		if (signal.aborted) {
			// A cancel that came before that line was durable was not refused, and nothing was started yet.
			await task.note({ type: "notBooted" });
			throw signal.reason;
		}
	}
	try {
		// One that runs may be held by its storage just now, and is not started then.
		if ((await context.hypervisor.inspect(spec.id)).state === "absent") await guests.start(spec.id, epoch, hold.own);
	} catch (thrown) {
		await clearDoubt(needs);
		throw thrown;
	}
	await task.note({ type: "booted", afterMs: task.elapsedMs });
	hold.letGo();
}

/** Notes that a guest that may have run has not, where that is certain. Not certain, or it cannot be known now: no change. */
async function clearDoubt({ context, task }: Pick<RestoreNeeds, "context" | "task">): Promise<void> {
	if (!task.mayHaveRun || task.has("booted")) return;
	// In its turn: nobody gives it a process or ends one meanwhile.
	await context.queue.run(task.facts.spec.id, async () => {
		if (await isUntouched(context, task.facts).catch(() => false)) await task.note({ type: "notBooted" });
	});
}

/**
 * The guest has no process, and its volumes have nothing that it could have written. A volume that was here before and is
 * not restored proves nothing: it has what it had.
 */
async function isUntouched({ hypervisor, places }: AgentContext, facts: RestoreFacts): Promise<boolean> {
	const { spec, before, volumes } = facts;
	if ((await hypervisor.inspect(spec.id)).state !== "absent") return false;
	const kept = new Set(before?.volumes.map(({ id }) => id));
	for (const { to } of volumes) kept.delete(to);
	for (const location of places.volumes(spec)) {
		if (!kept.has(location.volumeId) && (await hypervisor.holdsData(location))) return false;
	}
	return true;
}

export async function finishInstant({ context, task }: Pick<RestoreNeeds, "context" | "task">): Promise<void> {
	const { spec, before } = task.facts;
	await dropAside(context, task.facts);
	const kept = new Set(spec.volumes.map(({ id }) => id));
	const dropped = before?.volumes.filter(({ id }) => !kept.has(id)) ?? [];
	for (const location of context.places.locate(dropped)) await context.hypervisor.deleteVolume(location);
}

/** Throws away a guest that has never run: what was there before is there again, stopped. Done before, wholly or in part: goes on. */
export async function undoInstant({
	context,
	guests,
	task,
	hold,
}: Pick<RestoreNeeds, "context" | "guests" | "task" | "hold">): Promise<void> {
	const { spec, epoch, before, beforeLacking } = task.facts;
	const { hypervisor, store } = context;
	const volumes = restoredVolumes(context, task.facts);
	if (!task.has("placing")) return dropMade(volumes);
	// In its turn: a start that is under way has ended, and none begins under the volumes that go.
	const isToBeDeleted = await context.queue.run(spec.id, async () => {
		// Under a higher grant the guest is somebody else's since: of an undo that could not end, nothing of it is touched.
		const isOvertaken = (store.get(spec.id)?.record?.highestEpoch ?? 0) > epoch;
		if (isOvertaken) {
			await dropMade(volumes);
			return false;
		}
		await hypervisor.powerOff(spec.id);
		await guests.refresh(spec.id);
		const stored = store.get(spec.id);
		const isOwner = stored?.record.role === "owner";
		if (isOwner) await store.writeRun(spec.id, { desired: "stopped", lacking: beforeLacking });
		await takeBack(volumes, new Set(before?.volumes.map(({ id }) => id)));
		if (before && isOwner) await store.writeSpec(before);
		if (before || (!isOwner && !stored?.spec)) return false;
		// Cut off between the grant and the spec: only what is known can be deleted.
		if (!stored.spec) await store.writeSpec(spec);
		return true;
	});
	if (isToBeDeleted) await guests.delete(spec.id, epoch, hold.own).catch(unlessGone);
	await guests.refresh(spec.id);
}

function unlessGone(thrown: unknown): void {
	if (asSternaError(thrown).code !== "not_found") throw thrown;
}

/** Copies what is missing whenever the guest runs; a guest that is stopped meanwhile is filled on when it is started again. */
async function fill({ context, task, signal }: RestoreNeeds, server: PointServer): Promise<void> {
	const { hypervisor } = context;
	const { spec } = task.facts;
	for (;;) {
		if (signal.aborted) throw signal.reason;
		if (server.damage) task.setWaiting(server.damage.message.slice(0, 300));
		const { state } = await hypervisor.inspect(spec.id);
		if (state !== "absent") {
			try {
				await hypervisor.fillVolumes(
					spec.id,
					({ transferredBytes, totalBytes }) => {
						task.copiedBytes = transferredBytes;
						task.totalBytes = totalBytes;
						task.tell();
					},
					signal,
				);
				return;
			} catch (thrown) {
				if (signal.aborted) throw signal.reason;
				const error = asSternaError(thrown);
				if (error.code === "internal")
					task.remark(`the volumes could not be filled and are filled on: ${error.message}`);
			}
		}
		await delay(lookMs, undefined, { signal }).catch(() => {});
	}
}

/** A guest that stands because the repository did not answer goes on when it answers again. */
function helpHeld({ context, task, signal }: RestoreNeeds, server: PointServer): () => void {
	const { hypervisor } = context;
	const { spec } = task.facts;
	const over = new AbortController();
	const until = AbortSignal.any([signal, over.signal]);
	let helping = false;
	const help = async () => {
		if (helping) return;
		helping = true;
		try {
			while (!until.aborted && (await hypervisor.inspect(spec.id)).heldByStorage) {
				await server.isThere(until);
				if (until.aborted) return;
				await hypervisor.resume(spec.id);
				await delay(lookMs, undefined, { signal: until }).catch(() => {});
			}
		} catch (thrown) {
			// It stopped meanwhile, or its monitor is silent: the next event or look comes.
			context.log.warn({ guestId: spec.id, err: asSternaError(thrown) }, "a held guest could not be let go");
		} finally {
			helping = false;
		}
	};
	const stopListening = hypervisor.onEvent((event: HypervisorEvent) => {
		if (event.type === "heldByStorage" && event.guestId === spec.id) void help();
	});
	// Held in an earlier life of the agent, there is no event any more.
	const looking = setInterval(() => void help(), 2_000);
	return () => {
		over.abort(new SternaError("cancelled", "the guest is filled"));
		stopListening();
		clearInterval(looking);
	};
}
