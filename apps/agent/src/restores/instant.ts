import { setTimeout as delay } from "node:timers/promises";
import type { HypervisorEvent, VolumeSource } from "@sterna/hypervisor/hypervisor";
import { asSternaError, SternaError } from "@sterna/shared/errors";
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
	// From here on whoever starts the guest starts it from its sources.
	hold.letGo();
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
	await task.begin("finish");
	await finishInstant(needs);
}

async function serveAndFill(needs: RestoreNeeds): Promise<void> {
	const { context, repositories, task, signal } = needs;
	const { pointId, volumes } = task.facts;
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
 * Starts the guest, or sees that an earlier life has. The journal says so first: after that only a start that certainly
 * changed nothing can be undone.
 */
async function boot({ context, guests, task, signal }: RestoreNeeds): Promise<void> {
	const { hypervisor } = context;
	const { spec, epoch } = task.facts;
	const writtenBytes = async () => {
		const volumes = restoredVolumes(context, task.facts).map((volume) => hypervisor.inspectVolume(volume));
		return (await Promise.all(volumes)).reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
	};
	const isInDoubt = task.mayHaveRun;
	await task.begin("boot");
	const beforeBytes = isInDoubt ? null : await writtenBytes();
	if (!isInDoubt) await task.note({ type: "booting" });
	try {
		// A cancel that came before the line above was durable was not refused.
		if (signal.aborted) throw signal.reason;
		// One that runs may be held by its storage just now, and is not started then.
		if ((await hypervisor.inspect(spec.id)).state === "absent") await guests.start(spec.id, epoch);
	} catch (thrown) {
		const isAbsent = (await hypervisor.inspect(spec.id)).state === "absent";
		const afterBytes = isAbsent ? await writtenBytes().catch(() => null) : null;
		if (afterBytes !== null && afterBytes === beforeBytes) await task.note({ type: "notBooted" });
		throw thrown;
	}
	await task.note({ type: "booted", afterMs: task.elapsedMs });
}

export async function finishInstant({ context, task }: Pick<RestoreNeeds, "context" | "task">): Promise<void> {
	const { spec, before } = task.facts;
	await dropAside(restoredVolumes(context, task.facts));
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
	const { spec, epoch, before } = task.facts;
	const { hypervisor, store } = context;
	const volumes = restoredVolumes(context, task.facts);
	// Under a higher grant the guest is somebody else's since: of an undo that could not end, nothing of it is touched.
	const isOvertaken = (store.get(spec.id)?.record?.highestEpoch ?? 0) > epoch;
	if (!task.has("placing") || isOvertaken) return dropMade(volumes);
	await hypervisor.powerOff(spec.id);
	await guests.refresh(spec.id);
	const stored = store.get(spec.id);
	const isOwner = stored?.record.role === "owner";
	if (isOwner) await store.writeRun(spec.id, { desired: "stopped" });
	await takeBack(volumes, new Set(before?.volumes.map(({ id }) => id)));
	if (before) {
		if (isOwner) await store.writeSpec(before);
	} else if (isOwner || stored?.spec) {
		// Cut off between the grant and the spec: only what is known can be deleted.
		if (!stored.spec) await store.writeSpec(spec);
		await guests.delete(spec.id, epoch, hold.own);
	}
	await guests.refresh(spec.id);
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
