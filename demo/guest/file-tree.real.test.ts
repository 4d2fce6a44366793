import { once } from "node:events";
import {
	closeSync,
	copyFileSync,
	mkdtempSync,
	openSync,
	rmSync,
	truncateSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureQemu, type Qemu } from "../../scripts/system/qemu.ts";
import { BootedGuest } from "./booted-guest.ts";
import { buildGuestImage, type GuestImage } from "./build.ts";

const mebibyte = 1024 * 1024;

let qemu: Qemu;
let image: GuestImage;
let dir: string;
const guests: BootedGuest[] = [];

beforeAll(async () => {
	qemu = await ensureQemu();
	image = await buildGuestImage(resolve(import.meta.dirname, "../../.sterna/guest"));
});

beforeEach(() => {
	dir = mkdtempSync(join(tmpdir(), "sterna-tree-"));
});

afterEach(async () => {
	await Promise.all(guests.splice(0).map((guest) => guest.stop()));
	rmSync(dir, { recursive: true, force: true });
});

function emptyDisk(): string {
	const disk = join(dir, "disk.raw");
	writeFileSync(disk, "");
	truncateSync(disk, 128 * mebibyte);
	return disk;
}

function boot(disk: string, load: "tree" | "verify", agentSocket?: string): BootedGuest {
	const settings = { name: "files-1", load, treeMs: 100 };
	const own = mkdtempSync(join(dir, "guest-"));
	const guest = new BootedGuest({ qemu, image, dir: own, disk, settings, ...(agentSocket ? { agentSocket } : {}) });
	guests.push(guest);
	return guest;
}

/** One question to the guest agent: a line of JSON each way (QEMU's docs/interop/qemu-ga-ref). */
async function ask(socket: Socket, answers: AsyncIterator<string>, execute: string): Promise<unknown> {
	socket.write(`${JSON.stringify({ execute })}\n`);
	const { value } = await answers.next();
	return JSON.parse(value);
}

describe("the demo guest with a file tree", () => {
	it("finds every finished generation whole after a power cut, and goes on behind the last", async () => {
		const disk = emptyDisk();
		const guest = boot(disk, "tree");
		await guest.waitFor(/tree: generation=0 files=0 errors=0/);
		await guest.waitFor(/tree: wrote generation=4 files=20/);
		await guest.stop();
		const promised = newestWritten(guest);

		const after = boot(disk, "tree");
		const [, found, files] = await after.waitFor(/tree: generation=(\d+) files=(\d+) errors=0/);
		expect(Number(found)).toBeGreaterThanOrEqual(promised);
		// It keeps the newest 16; on a busy machine it may have come further than that before its power was cut.
		expect(Number(files)).toBeGreaterThanOrEqual(Math.min(Number(found), 16) * 20);
		await after.waitFor(new RegExp(`tree: wrote generation=${Number(found) + 1} `));
	});

	it("writes the same content from the same seed, and says what is not as it was written", async () => {
		const disk = emptyDisk();
		const guest = boot(disk, "tree");
		await guest.waitFor(/tree: wrote generation=3 /);
		await guest.pressPowerButton();
		expect(await guest.ended()).toBe(0);

		const damaged = join(dir, "damaged.raw");
		copyFileSync(disk, damaged);
		const file = openSync(damaged, "r+");
		// Behind the structures at the beginning, where the first files lie.
		for (let at = 4 * mebibyte; at < 64 * mebibyte; at += mebibyte / 4)
			writeSync(file, Buffer.alloc(512, "x"), 0, 512, at);
		closeSync(file);
		const [sound, broken] = [boot(disk, "verify"), boot(damaged, "verify")];
		await sound.waitFor(/tree: generation=(?:[3-9]|\d\d+) files=\d\d+ errors=0/);
		await broken.waitFor(/tree: fault: (a file of g\d{6} is not what was written|e2fsck|.*manifest)/);
		await broken.waitFor(/tree: generation=\d+ files=\d+ errors=[1-9]/);
	});

	it("stops writing while its agent has frozen its file systems, and goes on after", async () => {
		const agentSocket = join(dir, "agent");
		const guest = boot(emptyDisk(), "tree", agentSocket);
		await guest.waitFor(/tree: wrote generation=1 /);
		const socket = createConnection(agentSocket);
		await once(socket, "connect");
		const answers = createInterface(socket)[Symbol.asyncIterator]();
		expect(await ask(socket, answers, "guest-ping")).toEqual({ return: {} });
		expect(await ask(socket, answers, "guest-fsfreeze-freeze")).toEqual({ return: 1 });
		expect(await ask(socket, answers, "guest-fsfreeze-status")).toEqual({ return: "frozen" });
		// The line of a generation that was complete may still be on its way.
		await moreHeartbeats(guest, 2);
		const written = newestWritten(guest);
		await moreHeartbeats(guest, 3);
		expect(newestWritten(guest)).toBe(written);
		expect(await ask(socket, answers, "guest-fsfreeze-thaw")).toEqual({ return: 1 });
		await guest.waitFor(new RegExp(`tree: wrote generation=${written + 2} `));
		socket.destroy();
	});
});

function newestWritten(guest: BootedGuest): number {
	return Number([...guest.serial.matchAll(/wrote generation=(\d+)/g)].at(-1)?.[1] ?? 0);
}

/** Waits for so many more status lines of the guest, one a second. */
async function moreHeartbeats(guest: BootedGuest, count: number): Promise<void> {
	const heard = guest.serial.split("heartbeat seq").length - 1;
	await guest.waitFor(new RegExp(`(?:heartbeat seq[\\s\\S]*?){${heard + count}}`));
}
