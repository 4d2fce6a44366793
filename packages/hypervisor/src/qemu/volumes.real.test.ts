import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId, VolumeId } from "@sterna/shared/ids";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureQemu } from "../../../../scripts/system/qemu.ts";
import { runTool } from "./tool.ts";
import { createVolume, inspectVolume } from "./volumes.ts";

const mebibyte = 1024 * 1024;
let folder: string;
let img: string;

beforeEach(async () => {
	img = (await ensureQemu()).img;
	folder = await mkdtemp(join(tmpdir(), "vol-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const location = (name: string) => ({ volumeId: newId(VolumeId), path: join(folder, name) });
const tool = (...args: string[]) =>
	runTool({ program: img, arguments: args, timeoutMs: 30_000, purpose: "prepare a test" });

test("an image becomes a volume of the size that was asked for, with its content", async () => {
	const image = join(folder, "image.raw");
	await writeFile(image, Buffer.alloc(mebibyte, "abc"));
	const volume = location("volume");
	await createVolume(img, { ...volume, sizeBytes: 4 * mebibyte, from: { path: image, format: "raw" } });
	expect(await inspectVolume(img, volume)).toMatchObject({ exists: true, sizeBytes: 4 * mebibyte });
	await tool("convert", "-f", "qcow2", "-O", "raw", volume.path, join(folder, "out"));
	const content = await readFile(join(folder, "out"));
	expect(content.length).toBe(4 * mebibyte);
	expect(content.subarray(0, mebibyte)).toEqual(Buffer.alloc(mebibyte, "abc"));
});

test("a raw image that begins like a qcow2 with somebody's file behind it is copied as what it was declared", async () => {
	const secret = join(folder, "secret");
	const image = join(folder, "image");
	await writeFile(secret, Buffer.alloc(mebibyte, "secret"));
	await tool("create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", image);
	const volume = location("volume");
	await createVolume(img, { ...volume, sizeBytes: mebibyte, from: { path: image, format: "raw" } });
	await tool("convert", "-f", "qcow2", "-O", "raw", volume.path, join(folder, "out"));
	const content = await readFile(join(folder, "out"));
	expect(content.subarray(0, 4)).toEqual(Buffer.from("QFI\xfb", "latin1"));
	expect(content.includes("secretsecret")).toBe(false);
});

test.each([
	["a backing file", ["-b", "secret", "-F", "raw"]],
	["an external data file", ["-o", "data_file=secret"]],
])("a qcow2 image with %s is refused, and nothing is left", async (_what, options) => {
	await writeFile(join(folder, "secret"), Buffer.alloc(mebibyte, "secret"));
	const image = join(folder, "image");
	const size = options[0] === "-o" ? [String(mebibyte)] : [];
	const args = options.map((option) => option.replace("secret", join(folder, "secret")));
	await tool("create", "-q", "-f", "qcow2", ...args, image, ...size);
	const volume = location("volume");
	const making = createVolume(img, { ...volume, sizeBytes: mebibyte, from: { path: image, format: "qcow2" } });
	await expect(making).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining("another file") });
	expect((await readdir(folder)).sort()).toEqual(["image", "secret"]);
});

test("an image that is larger than the volume is refused, and nothing is left", async () => {
	const image = join(folder, "image");
	await writeFile(image, Buffer.alloc(2 * mebibyte));
	const making = createVolume(img, {
		...location("volume"),
		sizeBytes: mebibyte,
		from: { path: image, format: "raw" },
	});
	await expect(making).rejects.toMatchObject({ code: "invalid" });
	expect(await readdir(folder)).toEqual(["image"]);
});

test("an image of no whole sectors is taken with zeros behind it", async () => {
	const image = join(folder, "image");
	await writeFile(image, Buffer.alloc(513, "x"));
	const volume = location("volume");
	await createVolume(img, { ...volume, sizeBytes: mebibyte, from: { path: image, format: "raw" } });
	expect((await inspectVolume(img, volume)).sizeBytes).toBe(mebibyte);
});

test.each([0, -512, 100, 2 ** 60, 7e18, Number.NaN])("a volume of %d bytes is refused", async (sizeBytes) => {
	const making = createVolume(img, { ...location("volume"), sizeBytes });
	await expect(making).rejects.toMatchObject({ name: "SternaError", code: "invalid" });
	expect(await readdir(folder)).toEqual([]);
});

test("a file that is no qcow2 is not taken for a volume", async () => {
	const volume = location("volume");
	await writeFile(volume.path, "hello");
	await expect(inspectVolume(img, volume)).rejects.toMatchObject({ name: "SternaError" });
});
