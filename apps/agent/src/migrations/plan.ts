import { SternaError } from "@sterna/shared/errors";
import { refuseGuestAction } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import type { MigrationPlan, Refusal } from "@sterna/shared/migration";
import type { IncomingGuest, ParsedInput, PeerAddress } from "@sterna/shared/protocol/commands";
import { formatBytes } from "@sterna/shared/units";
import type { AgentContext } from "../context.ts";
import type { KnownGuest } from "../guests/store.ts";
import { volumesToCopy } from "./check.ts";

/** What streams between two agents carry on a link of 1 Gbit/s. */
const assumedBytesPerSecond = 110_000_000;
/** What the lowest pause limit gives in practice: the limit itself and the way of two answers. */
const predictedDowntimeMs = 60;
const askTimeoutMs = 15_000;

/**
 * What moving the guest would take. Everything that refuses is in the plan, not thrown.
 * @throws {SternaError} `not_found` when the guest is not here; what the target's connection gave.
 */
export async function planMove(
	context: AgentContext,
	{ guestId, target }: ParsedInput<"migration.plan">,
	signal: AbortSignal,
): Promise<MigrationPlan> {
	const { peers, hostId } = context;
	const guest = await describeGuest(context, guestId);
	const options = { timeoutMs: askTimeoutMs, signal };
	const [{ refusals }, facts] = await Promise.all([
		peers.call(target, "incoming.check", { guest: guest.incoming }, options),
		peers.call(target, "host.describe", {}, options),
	]);
	const copied = volumesToCopy(guest.incoming, facts);
	const diskBytes = guest.incoming.volumes
		.filter(({ volumeId }) => copied.some(({ id }) => id === volumeId))
		.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
	const { memoryBytes } = guest.incoming.spec;
	const seconds = (diskBytes + memoryBytes) / assumedBytesPerSecond;
	return {
		guestId,
		sourceHostId: hostId,
		targetHostId: target.hostId,
		refusals: [...guest.refusals, ...refusals].slice(0, 50),
		steps: stepsOf(guest.incoming, target, { copied: copied.length, diskBytes }),
		memoryBytes,
		diskBytes,
		predictedDurationMs: Math.round(1000 * (1 + seconds)),
		predictedDowntimeMs,
		undo: "until the guest is handed over, cancelling leaves it running where it is as if nothing had been",
	};
}

/**
 * The guest as its target needs to know it.
 * @throws {SternaError} `not_found` when the guest is not on this host; `wrong_state` when it has no process to move.
 */
export async function describeGuest(
	{ store, hypervisor, places, facts }: AgentContext,
	guestId: GuestId,
): Promise<{ incoming: IncomingGuest; startedAt: number | null; refusals: Refusal[] }> {
	const stored = store.get(guestId);
	if (!stored?.spec || stored.record.role !== "owner") {
		throw new SternaError("not_found", `guest ${guestId} is not on this host`);
	}
	const guest: KnownGuest = { ...stored, spec: stored.spec };
	const { spec } = guest;
	const [process, host, pools] = await Promise.all([hypervisor.inspect(guestId), facts(), places.pools()]);
	const refusals: Refusal[] = [];
	const state = process.state === "running" ? "running" : process.state === "absent" ? "stopped" : "paused";
	const refusal = refuseGuestAction("migrate", { state, migrating: stored.record.outgoing !== null, hostOnline: true });
	if (refusal) refusals.push({ code: "wrong_state", message: `guest ${spec.name} cannot be moved now: ${refusal}` });
	const machine = process.machine ?? spec.machine;
	if (!machine || !process.accelerator) {
		throw new SternaError("wrong_state", `guest ${spec.name} has no process that could be moved`, {
			cure: "start it first",
		});
	}
	const locations = places.volumes(spec);
	const volumes = await Promise.all(
		spec.volumes.map(async (volume) => {
			const pool = pools.find(({ name }) => name === volume.pool);
			const location = locations.find(({ volumeId }) => volumeId === volume.id);
			if (!pool || !location) throw new SternaError("not_found", `this host has no storage pool ${volume.pool}`);
			const { allocatedBytes } = await hypervisor.inspectVolume(location);
			return { volumeId: volume.id, poolId: pool.poolId, allocatedBytes };
		}),
	);
	const wanted = spec.boot.from === "kernel" ? [spec.boot.kernel, spec.boot.initrd] : [];
	const images = Object.fromEntries(
		host.images.filter(({ name }) => wanted.includes(name)).map(({ name, sha256 }) => [name, sha256]),
	);
	const incoming = {
		spec: { ...spec, machine },
		machine,
		qemuVersion: host.qemuVersion,
		accelerator: process.accelerator,
		volumes,
		images,
	};
	return { incoming, startedAt: guest.run.startedAt, refusals };
}

function stepsOf(
	{ spec }: IncomingGuest,
	target: PeerAddress,
	{ copied, diskBytes }: { copied: number; diskBytes: number },
): string[] {
	const disks =
		copied === 0
			? "its disks are shared and stay where they are"
			: `${copied} disk${copied === 1 ? "" : "s"} with ${formatBytes(diskBytes)} of data ${copied === 1 ? "is" : "are"} copied while it runs`;
	return [
		`${target.name} makes room for ${spec.name} and starts it with its CPUs held`,
		disks,
		`${formatBytes(spec.memoryBytes)} of memory are copied while it runs, again and again until little is left`,
		`it pauses here for a moment and goes on, on ${target.name}`,
		copied === 0 ? "what is left of it here is removed" : "its process and its copied disks here are removed",
	];
}
