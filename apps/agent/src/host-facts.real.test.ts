import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostFacts } from "@sterna/shared/host";
import { HostId, newId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
	type GivenFacts,
	HostFactsReader,
	ImageCatalog,
	parseCpuModel,
	parseOsRelease,
	readSpace,
} from "./host-facts.ts";
import { Machine } from "./sensors/fixtures/machine.ts";
import { createSensorRoot } from "./sensors/root.ts";

describe("facts of a host", () => {
	let folder = "";
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), "sterna-facts-"));
		await mkdir(join(folder, "images"));
	});
	afterEach(() => rm(folder, { recursive: true }));

	const given = (more: Partial<GivenFacts> = {}): GivenFacts => ({
		hostId: newId(HostId),
		name: "alpha",
		agentVersion: "0.1.0",
		bootId: "b",
		peerAddress: "127.0.0.1",
		peerPort: 7676,
		networks: [{ name: "user", kind: "user" }],
		pools: [{ name: "local", poolId: crypto.randomUUID(), kind: "local", path: folder }],
		repositories: [],
		imagesDir: join(folder, "images"),
		hypervisor: {
			qemuVersion: "10.0.2",
			machineTypes: ["pc-q35-10.0"],
			probe: { accelerator: "tcg", reason: "there is no /dev/kvm" },
			simulated: false,
		},
		...more,
	});
	const reader = (root = createSensorRoot()) => new HostFactsReader(root, join(folder, "images.json"));

	it("tell what this machine is and has", async () => {
		const facts = HostFacts.parse(await reader().read(given()));
		expect(facts.memoryBytes).toBeGreaterThan(0);
		expect(facts.kernel).toMatch(/^\d+\.\d+/);
		expect(facts.pools[0]?.capacityBytes).toBeGreaterThan(0);
		expect(facts.pools[0]?.freeBytes).toBeLessThanOrEqual(facts.pools[0]?.capacityBytes ?? 0);
	});

	it("come from the injected root, made harmless", async () => {
		const machine = new Machine({
			"/etc/os-release": 'NAME=x\nPRETTY_NAME="Debian \\"12\\" \u001b[1m"\n',
			"/proc/sys/kernel/osrelease": "6.1.0-1\n",
			"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU\n\nprocessor\t: 1\nmodel name\t: Fast CPU\n",
			"/proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 1 kB\n",
		});
		expect(await reader(machine).read(given())).toMatchObject({
			operatingSystem: 'Debian "12" \ufffd[1m',
			kernel: "6.1.0-1",
			cpuModel: "Fast CPU",
			cpuThreads: 2,
			memoryBytes: 4 * GiB,
		});
	});

	it("hold in a root that says nothing", async () => {
		expect(HostFacts.safeParse(await reader(new Machine()).read(given())).success).toBe(true);
	});

	it("offer no more memory than the configuration lends, nor more than there is", async () => {
		const machine = new Machine({ "/proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 1 kB\n" });
		expect((await reader(machine).read(given({ memoryLimitBytes: 2 * GiB }))).memoryBytes).toBe(2 * GiB);
		expect((await reader(machine).read(given({ memoryLimitBytes: 64 * GiB }))).memoryBytes).toBe(4 * GiB);
	});

	it("offer no space in a pool that does not answer", async () => {
		const pool = { name: "gone", poolId: crypto.randomUUID(), kind: "shared" as const, path: join(folder, "gone") };
		const facts = await reader().read(given({ pools: [pool] }));
		expect(facts.pools).toMatchObject([{ name: "gone", capacityBytes: 0, freeBytes: 0 }]);
		expect(await readSpace(join(folder, "gone"))).toBeNull();
	});

	it("list images with their checksums, and no links, folders or odd names", async () => {
		const images = join(folder, "images");
		await writeFile(join(images, "kernel"), "abc");
		await writeFile(join(images, ".hidden"), "abc");
		await writeFile(join(images, "Upper Case"), "abc");
		await mkdir(join(images, "folder"));
		await symlink("/etc/passwd", join(images, "link"));
		expect(await new ImageCatalog(join(folder, "cache.json")).list(images)).toEqual([
			{ name: "kernel", sizeBytes: 3, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		]);
		expect(await new ImageCatalog(join(folder, "cache.json")).list(join(folder, "nowhere"))).toEqual([]);
	});

	it("read an image again only when its size or time changed, also after a restart", async () => {
		const path = join(folder, "images", "disk.qcow2");
		const then = new Date(2020, 1, 1);
		const put = async (text: string, time: Date) => {
			await writeFile(path, text);
			await utimes(path, time, time);
		};
		const sum = async () =>
			(await new ImageCatalog(join(folder, "cache.json")).list(join(folder, "images")))[0]?.sha256;
		await put("abc", then);
		const first = await sum();
		await put("xyz", then);
		expect(await sum()).toBe(first);
		await put("xyz", new Date(2021, 1, 1));
		expect(await sum()).not.toBe(first);
		await writeFile(join(folder, "cache.json"), "damaged");
		expect(await sum()).not.toBe(first);
	});

	it("understand the names of systems and CPUs, and their absence", () => {
		expect(parseOsRelease("PRETTY_NAME='A B'\n")).toBe("A B");
		expect(parseOsRelease("PRETTY_NAME=Plain\n")).toBe("Plain");
		expect(parseOsRelease("ID=x\n")).toBeNull();
		expect(parseCpuModel("processor : 0\n")).toBeNull();
		expect(parseCpuModel(null)).toBeNull();
	});
});
