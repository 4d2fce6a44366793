import { SternaError } from "@sterna/shared/errors";
import { sparePortCount } from "@sterna/shared/volume";
import type { VolumeLocation } from "../hypervisor.ts";
import { diskNode, fileNode } from "./block-nodes.ts";
import { diskDevice, volumeNodes } from "./disk-devices.ts";
import { expectState, keepRecord, type QemuGuest, refuseCopying } from "./guest.ts";
import { giveVolumes } from "./launch.ts";
import type { GuestRecord, RecordedVolume } from "./record.ts";
import { supportsDirectIo } from "./volumes.ts";

const blockCommandMs = 10_000;
/** As many as a specification may have. */
const maxVolumes = 16;

/**
 * Gives a running guest one more disk, behind those that it has; `guest` is null when it has no process. The seat is
 * written down before the disk is plugged in: a driver that dies in between finds a seat without a disk and removes it
 * (`settleAttached`), never a disk of which nothing is known.
 * @throws {SternaError} `no_capacity` when no spare port is left, `not_found`, `forbidden`, `wrong_state`.
 */
export async function attachVolume(guest: QemuGuest | null, location: VolumeLocation): Promise<void> {
	if (guest === null || guest.record.volumes.some(({ volumeId }) => volumeId === location.volumeId)) return;
	refuseCopying(guest, "attach a volume to");
	await expectState(guest, ["running", "paused"], "attach a volume to");
	const { volumeId, path } = location;
	const seat: RecordedVolume = { volumeId, path, port: freePort(guest.record), moves: 0 };
	const { spec, uid, volumes } = guest.record;
	await giveVolumes({ spec, volumes: [location] }, uid);
	const directIo = await supportsDirectIo(path);
	await keepRecord(guest, { volumes: [...volumes, seat] });
	try {
		await plugIn(guest, seat, directIo);
	} catch (error) {
		await settleAttached(guest);
		throw error;
	}
}

/** Forgets seats that were written down and never taken. For an adopted guest, whose driver may have died meanwhile. */
export async function settleAttached(guest: QemuGuest): Promise<void> {
	if (guest.record.volumes.every(({ port }) => port === null)) return;
	const disks = await guest.monitor.execute("query-blockstats", {}, { timeoutMs: blockCommandMs });
	const seated = guest.record.volumes.filter(
		({ port }, index) => port === null || disks.some(({ qdev }) => qdev?.includes(`/vd${index}/`)),
	);
	if (seated.length === guest.record.volumes.length) return;
	for (const [index, volume] of guest.record.volumes.entries()) {
		if (seated.includes(volume)) continue;
		const node = diskNode(index, volume.moves);
		for (const name of [node, fileNode(node)]) {
			// What was not made is not there to be removed; what cannot be is in use, and the next attach says so.
			await guest.monitor.execute("blockdev-del", { "node-name": name }).catch(() => undefined);
		}
	}
	await keepRecord(guest, { volumes: seated });
}

function freePort({ spec, volumes }: GuestRecord): number {
	const ports = Array.from({ length: sparePortCount }, (_, port) => port);
	const free = ports.find((port) => volumes.every((volume) => volume.port !== port));
	if (free !== undefined && volumes.length < maxVolumes) return free;
	const reason =
		volumes.length < maxVolumes
			? `its ${sparePortCount} spare ports are taken by disks that it got while it ran`
			: `it has ${maxVolumes} disks already`;
	throw new SternaError("no_capacity", `no disk can be attached to guest ${spec.name} while it runs: ${reason}`, {
		cure:
			volumes.length < maxVolumes
				? "shut the guest down and start it again: its disks then take their own slots and the ports are free"
				: "use a larger volume instead of one more",
	});
}

async function plugIn(guest: QemuGuest, seat: RecordedVolume, directIo: boolean): Promise<void> {
	const { monitor } = guest;
	const index = guest.record.volumes.length - 1;
	for (const node of volumeNodes({ node: diskNode(index), path: seat.path, directIo })) {
		await monitor.execute("blockdev-add", node, { timeoutMs: blockCommandMs });
	}
	await monitor.execute("device_add", diskDevice(index, seat), { timeoutMs: blockCommandMs });
}
