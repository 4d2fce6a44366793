import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import type { GuestMetrics } from "@sterna/shared/guest";
import type { HostMetrics } from "@sterna/shared/host";
import { expect, onTestFinished, test } from "vitest";
import { guestSpec, silent, testFolder } from "./fixtures/test-agent.ts";
import { notStarted } from "./guests/run-record.ts";
import type { KnownGuest } from "./guests/store.ts";
import { Sampler } from "./sampling.ts";
import { createSensorRoot } from "./sensors/root.ts";

test("a host and its guests are measured, and what was measured is kept as long as the guest is here", async () => {
	const dataDir = await testFolder();
	const sysroot = join(dataDir, "sysroot");
	await mkdir(join(sysroot, "proc"), { recursive: true });
	const proc = (file: string, text: string) => writeFile(join(sysroot, "proc", file), text);
	await proc("stat", "cpu  100 0 100 800 0 0 0 0 0 0\n");
	await proc("meminfo", "MemTotal:       1000000 kB\nMemFree: 1 kB\nMemAvailable:    600000 kB\n");
	const spec = guestSpec({ volumes: [], boot: { from: "kernel", kernel: "linux", commandLine: "" } });
	const hypervisor = new SimulatedHypervisor({ runFolder: join(dataDir, "run"), tickMs: 10 });
	onTestFinished(() => hypervisor.close());
	await hypervisor.start({ spec, volumes: [], nics: [{ kind: "user" }] });
	const guest: KnownGuest = {
		guestId: spec.id,
		spec,
		run: notStarted,
		record: { role: "owner", guestId: spec.id, epoch: 1, highestEpoch: 1, outgoing: null, arrival: null },
	};
	let guests = [guest];
	let now = 1_000_000;
	const told: { host: HostMetrics; guests: GuestMetrics[] }[] = [];
	const sampler = await Sampler.open({
		dataDir,
		root: createSensorRoot(sysroot),
		hypervisor,
		clock: { now: () => now },
		log: silent,
		periodMs: 5000,
		memoryLimitBytes: undefined,
		running: () => guests,
		present: () => new Set(guests.map(({ guestId }) => guestId)),
		onSample: (host, ofGuests) => told.push({ host, guests: ofGuests }),
	});
	onTestFinished(() => sampler.close());

	await sampler.sample();
	expect(told).toEqual([]);
	now += 5000;
	await proc("stat", "cpu  150 0 150 900 0 0 0 0 0 0\n");
	await sampler.sample();
	expect(told).toMatchObject([
		{ host: { at: now, cpuUsed: 0.5, memoryUsedBytes: 400_000 * 1024 }, guests: [{ guestId: spec.id, at: now }] },
	]);
	expect(await sampler.hostSince(0)).toEqual(told.map(({ host }) => host));
	expect(await sampler.guestSince(spec.id, 0)).toEqual(told[0]?.guests);

	guests = [];
	now += 5000;
	await sampler.sample();
	expect(await sampler.guestSince(spec.id, 0)).toEqual([]);
	expect(await readdir(join(dataDir, "metrics"))).toEqual(["host.ring"]);
});
