import { randomBytes } from "node:crypto";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureQemu, type Qemu } from "../../../scripts/system/qemu.ts";
import { connectNbd } from "./client.ts";
import type { NbdExport, NbdExtent } from "./nbd.ts";
import { serveNbd } from "./server.ts";
import { run, serveByQemu } from "./testing/qemu-tools.ts";

const mebibyte = 1024 * 1024;
const block = 64 * 1024;
const sizeBytes = 64 * mebibyte;
/** Blocks of the disk with something in them, and what that is. */
const written = new Map([0, 1, 2, 100, 500, 1023].map((index) => [index, randomBytes(block)]));

let qemu: Qemu;
let folder: string;
let socketPath: string;
let raw: string;

beforeAll(async () => {
	qemu = await ensureQemu();
	folder = await mkdtemp(join(tmpdir(), "nbd-"));
	socketPath = join(folder, "s");
	raw = join(folder, "disk.raw");
	await writeFile(raw, "");
	const file = await open(raw, "r+");
	await file.truncate(sizeBytes);
	for (const [index, bytes] of written) await file.write(bytes, 0, block, index * block);
	await file.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function content(offset: number, lengthBytes: number): Buffer {
	const bytes = Buffer.alloc(lengthBytes);
	for (const [index, data] of written) {
		const from = Math.max(offset, index * block);
		const to = Math.min(offset + lengthBytes, (index + 1) * block);
		if (from < to) data.copy(bytes, from - offset, from - index * block, to - index * block);
	}
	return bytes;
}

async function collect(extents: AsyncIterable<NbdExtent>): Promise<NbdExtent[]> {
	const all: NbdExtent[] = [];
	for await (const extent of extents) all.push(extent);
	return all;
}

describe("our client against QEMU's server", () => {
	test("reads all of a disk with many large requests at once, holes as zeros", async () => {
		const server = await serveByQemu(qemu.nbd, { path: raw, format: "raw", socketPath });
		const client = await connectNbd({ socketPath, exportName: "disk", contexts: ["base:allocation"] });
		expect(client.sizeBytes).toBe(sizeBytes);
		const step = 3 * mebibyte + 512;
		const offsets = Array.from({ length: Math.ceil(sizeBytes / step) }, (_, index) => index * step);
		const parts = await Promise.all(offsets.map((at) => client.read(at, Math.min(step, sizeBytes - at))));
		expect(Buffer.compare(Buffer.concat(parts), content(0, sizeBytes))).toBe(0);
		const data = (await collect(client.extents("base:allocation", 0, sizeBytes))).filter(({ flags }) => flags === 0);
		expect(data.map(({ offset, lengthBytes }) => [offset / block, lengthBytes / block])).toEqual([
			[0, 3],
			[100, 1],
			[500, 1],
			[1023, 1],
		]);
		await client.close();
		await server.close();
	});

	test("hears which blocks a dirty bitmap names, and is told when the server is killed", async () => {
		const path = join(folder, "disk.qcow2");
		await run(qemu.img, ["create", "-q", "-f", "qcow2", path, String(sizeBytes)]);
		await run(qemu.img, ["bitmap", "--add", "-g", "65536", "-f", "qcow2", path, "mark"]);
		const program = join(qemu.img, "..", "qemu-io");
		await run(program, ["-f", "qcow2", "-c", "write 64k 64k", "-c", "write 128k 512", "-c", "write 10M 1M", path]);
		const server = await serveByQemu(qemu.nbd, { path, format: "qcow2", socketPath, bitmap: "mark" });
		const context = "qemu:dirty-bitmap:mark";
		const client = await connectNbd({ socketPath, exportName: "disk", contexts: [context, "base:allocation"] });
		const dirty = (await collect(client.extents(context, 0, sizeBytes))).filter(({ flags }) => (flags & 1) === 1);
		expect(dirty).toEqual([
			{ offset: block, lengthBytes: 2 * block, flags: 1 },
			{ offset: 10 * mebibyte, lengthBytes: mebibyte, flags: 1 },
		]);
		const within = await collect(client.extents(context, 10 * mebibyte + 512, 1024));
		expect(within).toEqual([{ offset: 10 * mebibyte + 512, lengthBytes: 1024, flags: 1 }]);
		await server.close();
		await expect(client.read(0, 512)).rejects.toMatchObject({ code: "unavailable" });
	});
});

describe("QEMU's client against our server", () => {
	const disk: NbdExport = {
		name: "disk",
		sizeBytes,
		read: async (offset, lengthBytes) => content(offset, lengthBytes),
		async *extents(offset, lengthBytes) {
			for (let at = offset; at < offset + lengthBytes; ) {
				const index = Math.floor(at / block);
				const end = Math.min((index + 1) * block, offset + lengthBytes);
				yield { offset: at, lengthBytes: end - at, zero: !written.has(index) };
				at = end;
			}
		},
	};
	const image = () => `driver=nbd,server.type=unix,server.path=${socketPath},export=disk`;

	test("it copies, compares and maps the disk", async () => {
		let readBytes = 0;
		const counting: NbdExport = {
			...disk,
			read(offset, lengthBytes, signal) {
				readBytes += lengthBytes;
				return disk.read(offset, lengthBytes, signal);
			},
		};
		const server = await serveNbd({ socketPath, exports: [counting] });
		const copy = join(folder, "copy.qcow2");
		await run(qemu.img, ["convert", "--image-opts", "-O", "qcow2", image(), copy]);
		expect(readBytes).toBe(written.size * block);
		await run(qemu.img, ["compare", "-f", "raw", "-F", "qcow2", raw, copy]);
		const { stdout } = await run(qemu.img, ["map", "--output=json", "--image-opts", image()]);
		const map: { start: number; length: number; data: boolean }[] = JSON.parse(stdout);
		expect(map.filter(({ data }) => data).map(({ start, length }) => [start / block, length / block])).toEqual([
			[0, 3],
			[100, 1],
			[500, 1],
			[1023, 1],
		]);
		await server.close();
	});

	test("it hears an error of the export, and does not make zeros of it", async () => {
		const failing: NbdExport = {
			...disk,
			read(offset, lengthBytes, signal) {
				if (offset <= 100 * block && offset + lengthBytes > 100 * block) throw new Error("the repository is gone");
				return disk.read(offset, lengthBytes, signal);
			},
		};
		const server = await serveNbd({ socketPath, exports: [failing] });
		const copying = run(qemu.img, ["convert", "--image-opts", "-O", "raw", image(), join(folder, "copy.raw")]);
		await expect(copying).rejects.toMatchObject({ stderr: expect.stringContaining("Input/output error") });
		await server.close();
	});
});
