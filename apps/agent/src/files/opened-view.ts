import { chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveNbd } from "@sterna/nbd/server";
import type { PointReader } from "@sterna/repository/repository";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import { Undo } from "../undo.ts";
import { Guestfish } from "./guestfish.ts";
import { View } from "./view.ts";

export interface OpenView {
	reader: PointReader;
	volumeId: VolumeId;
	/** Begins the names of this agent's session folders. */
	prefix: string;
	cacheFolder: string;
	/** Whether /dev/kvm works on this server, and its group. */
	kvm: { usable: boolean; group: number | null };
}

/** A disk of a recovery point that is being looked into. */
export interface OpenedView {
	view: View;
	/** False when its appliance has ended. */
	isAlive(): boolean;
	/** Why the repository could not give what the appliance wanted last, which to the appliance is an I/O error; null when it could. */
	problem(): SternaError | null;
	close(): Promise<void>;
}

/**
 * The user of appliances: the one behind the last that a guest's QEMU may have (`uidOf` in the QEMU driver). A file system
 * that breaks out of its appliance finds nothing of this server, and no guest.
 */
const applianceUid = 0x77ffffff;
const exportName = "disk";

/** Where sessions keep their sockets: short, and reachable by the appliance's user. */
export function sessionPrefix(hostId: string): string {
	return join(tmpdir(), `sterna-files-${hostId.slice(0, 8)}-`);
}

/**
 * Serves the disk read-only on a socket and boots an appliance that looks into it; takes seconds, without hardware
 * acceleration more than ten. Closing it closes the reader too. On failure nothing is left.
 * @throws {SternaError} `not_found` when the point has no such disk; `unavailable` naming what this server lacks.
 */
export async function openView(request: OpenView): Promise<OpenedView> {
	const { reader, volumeId, cacheFolder } = request;
	const undo = new Undo();
	undo.add(() => reader.close());
	try {
		const volume = reader.point.volumes.find((one) => one.volumeId === volumeId);
		if (!volume) throw new SternaError("not_found", `the recovery point has no disk ${volumeId}`);
		const uid = process.getuid?.() === 0 ? applianceUid : null;
		const own = async (path: string) => {
			if (uid !== null) await chown(path, uid, uid);
			return path;
		};
		await mkdir(cacheFolder, { recursive: true, mode: 0o700 });
		await own(cacheFolder);
		const folder = await own(await mkdtemp(request.prefix));
		undo.add(() => rm(folder, { recursive: true, force: true }));

		let problem: SternaError | null = null;
		const read = async (offset: number, lengthBytes: number) => {
			try {
				return await reader.read(volumeId, offset, lengthBytes);
			} catch (error) {
				problem = asSternaError(error);
				throw error;
			}
		};
		const socketPath = join(folder, "nbd");
		const server = await serveNbd({
			socketPath,
			exports: [
				{
					name: exportName,
					sizeBytes: volume.sizeBytes,
					read,
					extents: (offset, lengthBytes) => reader.extents(volumeId, offset, lengthBytes),
				},
			],
		});
		undo.add(() => server.close());
		await own(socketPath);

		const { usable, group } = request.kvm;
		const guestfish = await Guestfish.start({
			folder,
			cacheFolder,
			uid,
			kvmGroup: group,
			usesKvm: usable,
			socketPath,
			exportName,
		});
		undo.add(() => guestfish.close());
		const view = new View(guestfish, { folder, diskBytes: volume.sizeBytes });
		return { view, isAlive: () => guestfish.isAlive, problem: () => problem, close: () => undo.run() };
	} catch (error) {
		await undo.run();
		throw error;
	}
}
