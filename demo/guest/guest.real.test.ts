import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { ensureQemu, type Qemu } from "../../scripts/system/qemu.ts";
import { BootedGuest } from "./booted-guest.ts";
import { buildGuestImage, type GuestImage } from "./build.ts";

const heartbeat = z.strictObject({
	guest: z.string(),
	boot: z.uuid(),
	seq: z.int().positive(),
	uptimeMs: z.int().positive(),
	disk: z.strictObject({ records: z.int(), errors: z.int() }),
	memory: z.strictObject({ checked: z.int(), errors: z.int() }),
});

const mebibyte = 1024 * 1024;

let qemu: Qemu;
let image: GuestImage;
let dir: string;
let disk: string;
let collector: Socket;
const guests: BootedGuest[] = [];

beforeAll(async () => {
	qemu = await ensureQemu();
	image = await buildGuestImage(resolve(import.meta.dirname, "../../.sterna/guest"));
});

beforeEach(async () => {
	dir = mkdtempSync(join(tmpdir(), "sterna-guest-"));
	disk = join(dir, "disk.raw");
	writeFileSync(disk, "");
	truncateSync(disk, 64 * mebibyte);
	collector = createSocket("udp4");
	collector.bind(0, "127.0.0.1");
	await once(collector, "listening");
});

afterEach(async () => {
	await Promise.all(guests.splice(0).map((guest) => guest.stop()));
	collector.close();
	rmSync(dir, { recursive: true, force: true });
});

function boot(options: { disk?: string; hasNetwork?: boolean; load?: "writer" }): BootedGuest {
	const network = { ip: "10.0.2.15/24", gateway: "10.0.2.2", beat: `10.0.2.2:${collector.address().port}`, beatMs: 20 };
	const load = options.load ? { load: options.load } : {};
	const settings = { name: "web-1", ...load, ...(options.hasNetwork ? network : {}) };
	const guest = new BootedGuest({ qemu, image, dir, settings, ...options });
	guests.push(guest);
	return guest;
}

function overwrite(part: { atBytes: number; sizeBytes: number }): void {
	const file = openSync(disk, "r+");
	writeSync(file, Buffer.alloc(part.sizeBytes, "x"), 0, part.sizeBytes, part.atBytes);
	closeSync(file);
}

describe("the demo guest", () => {
	it("numbers its heartbeats without a gap, logs to its disk, powers off at its power button and goes on with its log at the next boot", async () => {
		const beats: z.infer<typeof heartbeat>[] = [];
		// One datagram is one line is one heartbeat.
		collector.on("message", (datagram) => beats.push(heartbeat.parse(JSON.parse(datagram.toString()))));
		const guest = boot({ disk, hasNetwork: true });
		await guest.waitFor(/disk: boot 1 on this disk, continuing after record 0/);
		await guest.waitFor(/heartbeat seq=\d+ boot=[0-9a-f]{8} up=\d+s disk=(?:[3-9]|\d\d+) memory=[1-9]\d* errors=0/);
		await expect.poll(() => beats.length).toBeGreaterThan(50);
		await guest.pressPowerButton();
		expect(await guest.ended()).toBe(0);
		expect(guest.serial).toContain("guest: disk log closed, goodbye");

		const [first] = beats;
		expect(beats.map((beat) => beat.seq)).toEqual(beats.map((_, index) => index + (first?.seq ?? 0)));
		expect(new Set(beats.map((beat) => beat.boot)).size).toBe(1);
		expect(beats.filter((beat) => beat.disk.errors > 0 || beat.memory.errors > 0)).toEqual([]);
		expect(beats.at(-1)?.disk.records).toBeGreaterThanOrEqual(3);

		const after = boot({ disk, load: "writer" });
		const [, record] = await after.waitFor(/disk: boot 2 on this disk, continuing after record (\d+)/);
		expect(Number(record)).toBeGreaterThanOrEqual(2);
		await recordsOnDisk(after, Number(record) + 3);

		// What is changed behind its back does not go unnoticed.
		overwrite({ atBytes: 4096 + 1000, sizeBytes: 1 });
		overwrite({ atBytes: 16 * mebibyte, sizeBytes: 48 * mebibyte });
		await after.waitFor(/disk: records 1 to \d+ are not what was written/);
		await after.waitFor(/disk: place \d+ is not what was written/);
		await after.waitFor(/heartbeat .*errors=(?:[2-9]|\d\d+)/);
	});

	it("works without a disk or a network card, gives a shell to who presses Enter, and notices changed memory", async () => {
		const guest = boot({});
		await guest.waitFor(/network +no network card\s+disk +no disk/);
		// A cell that was checked once: each of them has its data by then.
		await guest.waitFor(/heartbeat seq=\d+ .*disk=0 memory=[1-9]/);
		guest.type("\n");
		await guest.waitFor(/web-1:\/# /);
		guest.type("quiet; echo answer=$((6 * 7))\n");
		await guest.waitFor(/answer=42/);
		// All of them: one may just be filled anew.
		guest.type("for cell in /run/cells/*; do echo >$cell; done\n");
		await guest.waitFor(/memory: cell \d is not what was written/);
		guest.type("poweroff\n");
		expect(await guest.ended()).toBe(0);
	});
});

/** Waits for a status line without errors that counts at least so many records; a busy machine may leave lines out. */
async function recordsOnDisk(guest: BootedGuest, count: number): Promise<void> {
	for (let lines = 1, records = 0; records < count; lines++) {
		const status = new RegExp(`(?:heartbeat seq=.* disk=(\\d+) .* errors=0\\s[\\s\\S]*?){${lines}}`);
		records = Number((await guest.waitFor(status))[1]);
	}
}
