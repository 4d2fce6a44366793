import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** `sun_path` of `struct sockaddr_un` (unix(7)) has 108 bytes, one of them ends the path. */
const maxSocketPathBytes = 107;

/**
 * What belongs to one guest's process. The folder and the record are root's; the guest's user owns `socketFolder` and
 * may write the two logs, so that a guest that broke out of QEMU can neither forge the record nor put a link there.
 */
export interface GuestPaths {
	folder: string;
	record: string;
	serialLog: string;
	/** What QEMU itself says: warnings, and the reason why it ended. */
	qemuLog: string;
	socketFolder: string;
	qmp: string;
	/** A second monitor, for when the first is silent. */
	rescue: string;
	serial: string;
	/** The line to the agent in the guest. */
	agent: string;
	/** A picture of the screen, for as long as it takes to read it. */
	screen: string;
	memory: string;
	disk: string;
}

export function guestPaths(runFolder: string, guestId: GuestId): GuestPaths {
	const folder = join(runFolder, guestId);
	const socketFolder = join(folder, "s");
	return {
		folder,
		record: join(folder, "guest.json"),
		serialLog: join(folder, "serial.log"),
		qemuLog: join(folder, "qemu.log"),
		socketFolder,
		qmp: join(socketFolder, "qmp"),
		rescue: join(socketFolder, "rescue"),
		serial: join(socketFolder, "serial"),
		agent: join(socketFolder, "agent"),
		screen: join(socketFolder, "screen.png"),
		memory: join(socketFolder, "memory"),
		disk: join(socketFolder, "disk"),
	};
}

/**
 * Refuses a run folder whose sockets could not be made, or whose name would mean something on a command line.
 * @throws {SternaError} `invalid`
 */
export function checkRunFolder(runFolder: string): void {
	if (!/^\/[\w/.+-]+$/.test(runFolder)) {
		throw new SternaError("invalid", `the run folder ${JSON.stringify(runFolder)} is no plain absolute path`, {
			cure: "use letters, digits, and the characters / . _ + - only",
		});
	}
	const longest = "/00000000-0000-0000-0000-000000000000/s/rescue";
	const bytes = Buffer.byteLength(runFolder) + longest.length;
	if (bytes > maxSocketPathBytes) {
		const most = maxSocketPathBytes - longest.length;
		throw new SternaError(
			"invalid",
			`the run folder ${runFolder} is too long: unix socket paths have at most ${maxSocketPathBytes} bytes`,
			{ cure: `choose a folder with at most ${most} bytes` },
		);
	}
}

/** A socket that somebody else names. @throws {SternaError} `invalid` */
export function checkSocketPath(path: string): void {
	const bytes = Buffer.byteLength(path);
	if (!path.startsWith("/") || path.includes("\0") || bytes > maxSocketPathBytes) {
		throw new SternaError(
			"invalid",
			`${JSON.stringify(path)} cannot be a unix socket: absolute, and at most ${maxSocketPathBytes} bytes (it has ${bytes})`,
		);
	}
}

/** Guests' users pass through the run folder to their own, and see nothing in it. */
export async function openRunFolder(runFolder: string): Promise<void> {
	await mkdir(runFolder, { recursive: true, mode: 0o711 });
	await chmod(runFolder, 0o711);
}
