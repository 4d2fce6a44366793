import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StartRequest } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import type { ParsedInput } from "@sterna/shared/protocol/commands";
import type { AgentContext } from "../context.ts";
import type { RestoreFacts } from "./journal.ts";
import { checkPoint, type RestoreNeeds, socketPath } from "./needs.ts";
import { servePoint } from "./point-server.ts";
import { restoredVolumes } from "./volumes.ts";

/** A guest that has not shown that it works until then does not. */
const deadlineMs = 10 * 60_000;
const lookMs = 500;
const agentAnswersMs = 2_000;
/** How much of the end of the serial log is looked at. */
const serialTailBytes = 256 * 1024;

export function screenshotPath(context: Pick<AgentContext, "dataDir">, restoreId: string): string {
	return join(context.dataDir, "restores", `${restoreId}.png`);
}

/** A drill's guest and volumes are others than those it stands for: it harms neither when both are on one host. */
export function drillFacts({ places, hostId, clock }: AgentContext, input: ParsedInput<"restore.start">): RestoreFacts {
	const { restoreId, mode, pointId, epoch, check, access } = input;
	if (!check) throw new SternaError("invalid", "a drill needs a check: how is it known that the guest works?");
	const [pool] = places.pools();
	if (!pool) throw new SternaError("not_found", "this host has no storage pool for a drill's volumes");
	const names = new Set(places.pools().map(({ name }) => name));
	const ids = new Map(input.spec.volumes.map(({ id }) => [id, newId(VolumeId)]));
	const renamed = (id: VolumeId) => ids.get(id) ?? id;
	const spec = GuestSpec.parse({
		...input.spec,
		id: GuestId.parse(restoreId),
		nics: [],
		volumes: input.spec.volumes.map(({ id, pool: wanted, sizeBytes }) => ({
			id: renamed(id),
			pool: names.has(wanted) ? wanted : pool.name,
			sizeBytes,
		})),
	});
	const volumes = input.volumes.map(({ from, to }) => ({ from, to: renamed(to) }));
	const restored = {
		restoreId,
		mode,
		pointId,
		repositoryId: access.repositoryId,
		hostId,
		spec,
		epoch,
		volumes,
		check,
	};
	return {
		...restored,
		guestId: input.spec.id,
		start: true,
		before: null,
		beforeLacking: null,
		startedAt: clock.now(),
	};
}

/**
 * Boots a point without networks under an id of its own, waits until it works, takes a picture, and throws it away. It is no
 * guest of this host: it has no record, no epoch, and is in no list.
 */
export async function drill(needs: RestoreNeeds, keepPicture: (png: Uint8Array) => Promise<void>): Promise<void> {
	const { context, repositories, access, task } = needs;
	const { spec, pointId, volumes, check } = task.facts;
	const { hypervisor } = context;
	const timeout = AbortSignal.timeout(deadlineMs);
	const signal = AbortSignal.any([needs.signal, timeout]);
	await task.begin("prepare");
	task.totalBytes = await checkPoint(needs);
	const socket = socketPath(context, task.facts);
	const server = await servePoint({
		repositories,
		access: () => access,
		pointId,
		restoreId: task.facts.restoreId,
		volumes,
		socketPath: socket,
		manner: "held",
		waitsFor: "away",
		signal,
		onAway: (reason) => task.setWaiting(reason),
		onServed: (bytes) => {
			task.copiedBytes += bytes;
		},
	});
	try {
		const request: StartRequest = { ...(await context.places.startRequest(spec)), nics: [] };
		for (const { volumeId, path, sizeBytes } of restoredVolumes(context, task.facts)) {
			await hypervisor.createVolume({ volumeId, path, sizeBytes });
		}
		await task.begin("boot");
		await hypervisor.startFrom(
			request,
			volumes.map(({ to }) => ({ volumeId: to, socket, exportName: to })),
		);
		await task.note({ type: "booted", afterMs: task.elapsedMs });
		await task.begin("prove");
		try {
			await proveWorking(needs, signal);
			await task.note({ type: "proved", afterMs: task.elapsedMs });
		} finally {
			// Also of one that failed: the picture says why.
			await hypervisor
				.screenshot(spec.id)
				.then(keepPicture)
				.then(() => task.note({ type: "pictured" }))
				.catch(() => task.remark("no picture could be taken of the screen"));
		}
	} catch (error) {
		if (needs.signal.aborted) throw needs.signal.reason;
		if (!timeout.aborted) throw server.damage ?? error;
		const wanted = check?.kind === "serialText" ? `print "${check.text}"` : "answer by its agent";
		throw new SternaError("timeout", `the restored guest did not ${wanted} within ${deadlineMs / 60_000} minutes`, {
			cure: "look at the picture of its screen",
			cause: error,
		});
	} finally {
		await removeDrill(context, task.facts);
		await server.close();
	}
}

/** Nothing of a drill stays. Also for one whose agent was killed. */
export async function removeDrill(context: AgentContext, facts: RestoreFacts): Promise<void> {
	const { hypervisor } = context;
	await hypervisor.powerOff(facts.spec.id);
	for (const volume of restoredVolumes(context, facts)) await hypervisor.deleteVolume(volume);
	await hypervisor.forget(facts.spec.id);
}

async function proveWorking({ context, task }: RestoreNeeds, signal: AbortSignal): Promise<void> {
	const { hypervisor } = context;
	const { spec, check } = task.facts;
	for (;;) {
		if (signal.aborted) throw signal.reason;
		const { state, ending, heldByStorage } = await hypervisor.inspect(spec.id);
		if (state === "absent") {
			throw new SternaError(
				"wrong_state",
				`the restored guest ended before it worked: ${ending ?? "nobody knows why"}`,
			);
		}
		if (heldByStorage) await hypervisor.resume(spec.id);
		const works =
			check?.kind === "serialText"
				? (await serialTail(hypervisor.serialLogPath(spec.id))).includes(check.text)
				: await hypervisor.isGuestAgentAlive(spec.id, agentAnswersMs);
		if (works) return;
		await delay(lookMs, undefined, { signal }).catch(() => {});
	}
}

async function serialTail(path: string): Promise<string> {
	const file = await open(path, "r").catch(() => null);
	if (!file) return "";
	try {
		const { size } = await file.stat();
		const length = Math.min(size, serialTailBytes);
		const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
		return buffer.toString("utf8");
	} finally {
		await file.close();
	}
}
