import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { SternaError } from "@sterna/shared/errors";
import { expect, onTestFinished, test, vi } from "vitest";
import { completeConfig } from "../config.ts";
import { guestSpec, silent, testFolder } from "../fixtures/test-agent.ts";
import { openPlaces } from "../places.ts";
import { GuestHolds } from "./holds.ts";
import { Guests } from "./lifecycle.ts";
import { GuestQueue } from "./queue.ts";
import { GuestStore } from "./store.ts";

/** The guests of a server, in one life of its agent after the other. */
async function server() {
	const dataDir = await testFolder();
	const runFolder = join(dataDir, "run");
	const announced: string[] = [];
	const live = async () => {
		const hypervisor = new SimulatedHypervisor({ runFolder, tickMs: 50 });
		onTestFinished(() => hypervisor.close());
		const guests = new Guests({
			hypervisor,
			store: await GuestStore.open(dataDir),
			queue: new GuestQueue(),
			holds: new GuestHolds(),
			places: await openPlaces(completeConfig({}, dataDir), hypervisor),
			clock: { now: () => Date.now() },
			log: silent,
			bootId: "boot-1",
			dataDir,
			announce: { guestChanged: (guestId) => announced.push(guestId) },
		});
		onTestFinished(() => guests.close());
		return { guests, hypervisor };
	};
	const volume = (spec: ReturnType<typeof guestSpec>) => join(dataDir, "pools/local", `${spec.volumes[0]?.id}.qcow2`);
	return { live, volume, announced };
}

test("a deletion that cannot be finished keeps no other guest from being adopted, and is finished by a later life", async () => {
	const { live, volume } = await server();
	const [deleted, well] = [guestSpec(), guestSpec()];
	const first = await live();
	for (const spec of [deleted, well]) await first.guests.create(spec, 1);
	await first.guests.start(well.id, 1);
	vi.spyOn(first.hypervisor, "deleteVolume").mockRejectedValue(new SternaError("unavailable", "the disk hangs"));
	await expect(first.guests.delete(deleted.id, 1)).rejects.toThrow("the disk hangs");
	await first.hypervisor.close();

	const second = await live();
	vi.spyOn(second.hypervisor, "deleteVolume").mockRejectedValue(new SternaError("unavailable", "the disk hangs"));
	await second.guests.adopt();
	expect(second.guests.views()).toMatchObject([{ guestId: well.id, state: "running" }]);
	await access(volume(deleted));
	await second.hypervisor.close();

	const third = await live();
	await third.guests.adopt();
	await expect(access(volume(deleted))).rejects.toThrow("ENOENT");
});

test("a change of a guest is told also while its process does not answer", async () => {
	const { live, announced } = await server();
	const { guests, hypervisor } = await live();
	const spec = guestSpec();
	await guests.create(spec, 1);
	vi.spyOn(hypervisor, "inspect").mockRejectedValue(new SternaError("timeout", "the monitor is silent"));
	announced.length = 0;
	await expect(guests.refresh(spec.id)).rejects.toThrow("the monitor is silent");
	expect(announced).toEqual([spec.id]);
});

test("a deleted guest leaves nothing of what it printed", async () => {
	const { live } = await server();
	const { guests, hypervisor } = await live();
	const spec = guestSpec();
	await guests.create(spec, 1);
	await guests.start(spec.id, 1);
	await access(hypervisor.serialLogPath(spec.id));
	await guests.powerOff(spec.id, 1);
	await guests.delete(spec.id, 1);
	await expect(access(dirname(hypervisor.serialLogPath(spec.id)))).rejects.toThrow("ENOENT");
});

test("a guest that ignored its power button and came back by a move is not called stopping", async () => {
	const { live } = await server();
	const { guests, hypervisor } = await live();
	const spec = guestSpec();
	await guests.create(spec, 1);
	await guests.start(spec.id, 1);
	vi.spyOn(hypervisor, "shutDown").mockResolvedValue();
	expect(await guests.shutDown(spec.id, 1)).toMatchObject({ state: "stopping" });
	// What a move does, as seen from here: the process ends, and later another one is there.
	await hypervisor.powerOff(spec.id);
	await guests.refresh(spec.id);
	await hypervisor.start({ spec, volumes: [], nics: [] });
	await guests.refresh(spec.id);
	expect(guests.view(spec.id)).toMatchObject({ state: "running" });
});

test("a guest is told with the disks that this host has for it", async () => {
	const { live } = await server();
	const { guests } = await live();
	const spec = guestSpec();
	expect((await guests.create(spec, 1)).volumes).toEqual(spec.volumes);
});
