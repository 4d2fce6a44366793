import { chmod, copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGuestImage } from "../../../../demo/guest/build.ts";
import { guestCommandLine } from "../../../../demo/guest/command-line.ts";
import { ensureQemu, probeMemory } from "../../../../scripts/system/qemu.ts";
import type { StartRequest } from "../hypervisor.ts";
import { askRescue } from "../testing/rescue.ts";
import { readSerial, until } from "../testing/site.ts";
import { QemuHypervisor } from "./driver.ts";
import { freeze, thaw } from "./guest-agent.ts";
import { guestPaths } from "./paths.ts";
import { readRecord } from "./record.ts";

/* What only a guest with an operating system shows: its agent, and that it finds what is done to its disks. */

let folder: string;
let driver: QemuHypervisor;
let request: StartRequest;

beforeAll(async () => {
	const { system, img } = await ensureQemu();
	const image = await buildGuestImage(join(import.meta.dirname, "../../../../.sterna/guest"), () => undefined);
	folder = await mkdtemp(join(tmpdir(), "lg-"));
	await chmod(folder, 0o711);
	const [kernelPath, initrdPath] = [join(folder, "vmlinuz"), join(folder, "initrd")];
	await copyFile(image.kernel, kernelPath);
	await copyFile(image.initrd, initrdPath);
	driver = new QemuHypervisor({ programs: { system, img }, runFolder: join(folder, "run"), probeMemory });
	await driver.adopt();
	const volumeId = newId(VolumeId);
	const commandLine = guestCommandLine({ name: "files-1", load: "tree", treeMs: 100 });
	const spec = GuestSpec.parse({
		id: newId(GuestId),
		name: "files-1",
		vcpus: 1,
		memoryBytes: 128 * MiB,
		boot: { from: "kernel", kernel: "vmlinuz", initrd: "initrd", commandLine },
		volumes: [{ id: volumeId, pool: "local", sizeBytes: 128 * MiB }],
		nics: [],
	});
	const volumes = [{ volumeId, path: join(folder, "disk.qcow2") }];
	for (const volume of volumes) await driver.createVolume({ ...volume, sizeBytes: 128 * MiB });
	request = { spec, volumes, kernelPath, initrdPath, nics: [] };
	await driver.start(request);
	await until(async () => (await generation()) >= 1, "the guest writes files", 120_000);
});
afterAll(async () => {
	await driver.powerOff(request.spec.id);
	await driver.close();
	await rm(folder, { recursive: true, force: true });
});

/** The newest generation of the guest's file tree that it says is written. */
async function generation(): Promise<number> {
	const text = await readSerial(driver, request.spec.id);
	return Number([...text.matchAll(/wrote generation=(\d+)/g)].at(-1)?.[1] ?? 0);
}

async function heartbeats(): Promise<number> {
	return (await readSerial(driver, request.spec.id)).split("heartbeat seq").length;
}

test("the guest's agent answers, holds its file systems, and lets them go on", async () => {
	const { id } = request.spec;
	// It is started after what writes the files.
	await until(() => driver.isGuestAgentAlive(id, 10_000), "the guest's agent answers");
	const paths = guestPaths(join(folder, "run"), id);
	const record = await readRecord(paths.record);
	if (!record) throw new Error("the guest has no record");
	const guest = { paths, record };
	await freeze(guest);
	// The line of a generation that was complete may still be on its way.
	const heard = await heartbeats();
	await until(async () => (await heartbeats()) >= heard + 2, "the guest lives");
	const written = await generation();
	await until(async () => (await heartbeats()) >= heard + 4, "the guest lives on");
	expect(await generation()).toBe(written);
	await thaw(guest);
	await until(async () => (await generation()) > written, "the guest writes again");
	await thaw(guest);
});

test("a disk that is attached is found by the guest's kernel, and one that grows and moves is written on", async () => {
	const { id } = request.spec;
	const location = { volumeId: newId(VolumeId), path: join(folder, "second.qcow2") };
	await driver.createVolume({ ...location, sizeBytes: 16 * MiB });
	await driver.attachVolume(id, location);
	// A kernel that finds a disk looks for partitions on it.
	const readBytes = async () => {
		const disks = await askRescue(join(folder, "run"), id, "query-blockstats");
		if (!Array.isArray(disks)) throw new Error("QEMU tells of no disks");
		return Number(disks.find((disk) => disk.qdev?.includes("/vd1/"))?.stats.rd_bytes ?? 0);
	};
	await until(async () => (await readBytes()) > 0, "the kernel reads the new disk");
	const [volume] = request.volumes;
	if (!volume) throw new Error("the guest has no volume");
	await driver.growVolume({ guestId: id, ...volume, sizeBytes: 192 * MiB });
	const to = join(folder, "elsewhere.qcow2");
	const signal = new AbortController().signal;
	await driver.moveVolume(
		{ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress: () => undefined },
		signal,
	);
	const written = await generation();
	await until(async () => (await generation()) > written + 1, "the guest writes on");
	expect(await readSerial(driver, id)).not.toMatch(/errors=[1-9]/);
});

test("a picture of its screen shows its text console", async () => {
	const picture = Buffer.from(await driver.screenshot(request.spec.id));
	// IHDR (ISO/IEC 15948, 11.2.2): width and height.
	expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).toEqual([720, 400]);
});
