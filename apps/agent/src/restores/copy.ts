import { asSternaError } from "@sterna/shared/errors";
import { noteBrought } from "./give-up.ts";
import { checkPoint, type RestoreNeeds, socketPath } from "./needs.ts";
import { servePoint } from "./point-server.ts";
import { dropAside, dropMade, placeVolumes, restoredVolumes } from "./volumes.ts";

/** Brings a guest back by copying its volumes whole. Until they take their place nothing of the guest is touched. */
export async function copyRestore(needs: RestoreNeeds): Promise<void> {
	const { task, signal } = needs;
	await task.begin("prepare");
	task.totalBytes = await checkPoint(needs);
	await task.begin("copyBlocks");
	await copyVolumes(needs);
	if (signal.aborted) throw signal.reason;
	await task.note({ type: "placing" });
	await finishCopy(needs);
}

/**
 * From the commit point on: everything is there and takes its place. Repeating completes. A guest that cannot be started is
 * restored all the same, and stays stopped.
 */
export async function finishCopy({ context, guests, task, hold }: RestoreNeeds): Promise<void> {
	const { spec, epoch, start, before } = task.facts;
	// A guest that was started has its volumes: they are not put into place under it again.
	if (!task.has("booting")) {
		const volumes = restoredVolumes(context, task.facts);
		await task.begin("finish");
		await guests.restore(spec, epoch, () => placeVolumes(volumes));
		await noteBrought(context, task);
		await dropAside(context, task.facts);
		const kept = new Set(spec.volumes.map(({ id }) => id));
		const dropped = before?.volumes.filter(({ id }) => !kept.has(id)) ?? [];
		for (const location of context.places.locate(dropped)) await context.hypervisor.deleteVolume(location);
	}
	hold.letGo();
	if (!start || task.has("booted")) return;
	await task.begin("boot");
	await task.note({ type: "booting" });
	try {
		await guests.start(spec.id, epoch);
	} catch (thrown) {
		return task.remark(`the guest is restored and could not be started: ${asSternaError(thrown).message}`);
	}
	await task.note({ type: "booted", afterMs: task.elapsedMs });
}

/** Before the commit point: as if nothing had been. */
export async function undoCopy({ context, task }: Pick<RestoreNeeds, "context" | "task">): Promise<void> {
	await dropMade(restoredVolumes(context, task.facts));
}

async function copyVolumes({ context, repositories, access, task, signal }: RestoreNeeds): Promise<void> {
	const { pointId, volumes, spec } = task.facts;
	const { hypervisor } = context;
	const socket = socketPath(context, task.facts);
	const server = await servePoint({
		repositories,
		access: () => access,
		pointId,
		restoreId: task.facts.restoreId,
		volumes,
		socketPath: socket,
		manner: "patient",
		waitsFor: "away",
		signal,
		onAway: (reason) => task.setWaiting(reason),
		onServed: (bytes) => {
			task.copiedBytes += bytes;
		},
	});
	const ticking = setInterval(() => task.tell(), 500);
	// The copy ends when nobody serves it any more.
	const end = () => void server.close();
	signal.addEventListener("abort", end, { once: true });
	try {
		await dropMade(restoredVolumes(context, task.facts));
		for (const { volumeId, sizeBytes, made } of restoredVolumes(context, task.facts)) {
			const from = { socket, exportName: volumeId };
			await hypervisor.createVolume({ ...made, sizeBytes, from });
		}
	} catch (error) {
		if (signal.aborted) throw signal.reason;
		// What went wrong is known on this side; the copying program only saw an I/O error.
		throw server.damage ?? error;
	} finally {
		clearInterval(ticking);
		signal.removeEventListener("abort", end);
		await server.close();
	}
	task.remark(`the volumes of ${spec.name} are copied and checked`);
}
