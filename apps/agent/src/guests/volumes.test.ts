import { mkdir, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import { newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import type { Volume } from "@sterna/shared/volume";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { completeConfig } from "../config.ts";
import { guestSpec, silent, testFolder } from "../fixtures/test-agent.ts";
import { openPlaces } from "../places.ts";
import { GuestHolds } from "./holds.ts";
import { Guests } from "./lifecycle.ts";
import { GuestQueue } from "./queue.ts";
import { GuestStore } from "./store.ts";
import { GuestVolumes } from "./volumes.ts";

/** The volumes of a server with two pools, in one life of its agent after the other. */
async function server() {
	const dataDir = await testFolder();
	const folders = { local: join(dataDir, "pools", "local"), fast: join(dataDir, "pools", "fast") };
	for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
	const pools = Object.entries(folders).map(([name, path]) => ({ name, kind: "local" as const, path }));
	/** `death` is given what changes something: a crash comes before or after one of its calls. */
	const live = async (death: Death = immortal) => {
		const hypervisor = new SimulatedHypervisor({ runFolder: join(dataDir, "run"), tickMs: 50 });
		onTestFinished(() => hypervisor.close());
		const holds = new GuestHolds();
		const needs = {
			hypervisor,
			store: await GuestStore.open(dataDir),
			queue: new GuestQueue(),
			holds,
			places: await openPlaces(completeConfig({ pools }, dataDir), hypervisor),
			clock: { now: () => Date.now() },
			log: silent,
			bootId: "boot-1",
			dataDir,
			announce: { guestChanged: () => {} },
		};
		const guests = new Guests(needs);
		onTestFinished(() => guests.close());
		const mortal = { hypervisor: death(hypervisor), store: death(needs.store), places: death(needs.places) };
		const volumes = new GuestVolumes({ ...needs, ...mortal });
		onTestFinished(() => volumes.close());
		await guests.adopt();
		await volumes.resumeAll();
		const spec = (guestId: GuestSpec["id"]) => needs.store.get(guestId)?.spec ?? null;
		return { guests, volumes, hypervisor, holds, spec, queue: needs.queue, places: needs.places };
	};
	const files = async () =>
		(
			await Promise.all(Object.entries(folders).map(async ([pool, path]) => inFolder(pool, await readdir(path))))
		).flat();
	return { live, files };
}

function inFolder(pool: string, names: string[]): string[] {
	return names.filter((name) => !name.startsWith(".")).map((name) => `${pool}/${basename(name, ".qcow2")}`);
}

function filesOf({ volumes }: GuestSpec): string[] {
	return volumes.map(({ id, pool }) => `${pool}/${id}`).sort();
}

/** Wraps what an agent works with, so that it can die at a chosen call: from then on nothing that it does has an effect or an end. */
type Death = <Port extends object>(port: Port) => Port;
const immortal: Death = (port) => port;

function dieAt(step: number, when: "before" | "after"): { death: Death; died: Promise<void> } {
	const died = Promise.withResolvers<void>();
	const forever = new Promise<never>(() => {});
	let steps = 0;
	const death: Death = (port) =>
		new Proxy(port, {
			get(target, name) {
				const member: unknown = Reflect.get(target, name, target);
				if (typeof member !== "function") return member;
				return (...given: unknown[]) => {
					const result = (): unknown => Reflect.apply(member, target, given);
					// What is asked at once and changes nothing is no step.
					if (name === "get" || name === "list" || name === "locate") return result();
					const here = steps++;
					if (here < step) return result();
					if (here > step || when === "before") {
						died.resolve();
						return forever;
					}
					return Promise.resolve(result())
						.catch(() => {})
						.then(() => {
							died.resolve();
							return forever;
						});
				};
			},
		});
	return { death, died: died.promise };
}

const newVolume = (): Volume => ({ id: newId(VolumeId), pool: "local", sizeBytes: 4 * MiB });

describe.each([[true], [false]])("of a guest that runs (%s)", (runs) => {
	const begin = async () => {
		const world = await server();
		const spec = guestSpec();
		const [volume] = spec.volumes;
		if (!volume) throw new Error("the guest has no volume");
		const first = await world.live();
		await first.guests.create(spec, 1);
		if (runs) await first.guests.start(spec.id, 1);
		return { ...world, spec, volume, first, about: { guestId: spec.id, epoch: 1 } };
	};

	test("a volume grows, and its spec says so", async () => {
		const { first, spec, volume, about } = await begin();
		const sizeBytes = volume.sizeBytes + 8 * MiB;
		await first.volumes.grow({ ...about, volumeId: volume.id, sizeBytes });
		await first.volumes.grow({ ...about, volumeId: volume.id, sizeBytes });
		expect(first.spec(spec.id)?.volumes[0]).toMatchObject({ sizeBytes });
		const smaller = first.volumes.grow({ ...about, volumeId: volume.id, sizeBytes: volume.sizeBytes });
		await expect(smaller).rejects.toMatchObject({ code: "invalid" });
		expect(first.spec(spec.id)?.volumes[0]).toMatchObject({ sizeBytes });
	});

	test("a volume is attached, and is there after the next start", async () => {
		const { first, spec, files, about } = await begin();
		const volume = newVolume();
		await first.volumes.attach({ ...about, volume });
		await first.volumes.attach({ ...about, volume });
		const now = first.spec(spec.id);
		expect(now?.volumes.map(({ id }) => id)).toEqual([...spec.volumes.map(({ id }) => id), volume.id]);
		expect((await files()).sort()).toEqual(filesOf(now ?? spec));
		expect((await first.hypervisor.inspect(spec.id)).seats).toHaveLength(runs ? 1 : 0);
		await first.guests.powerOff(spec.id, 1);
		await first.guests.start(spec.id, 1);
		expect((await first.hypervisor.inspect(spec.id)).seats).toEqual([]);
	});

	test("a volume that cannot be attached leaves nothing of it", async () => {
		const { first, spec, files, about } = await begin();
		vi.spyOn(first.hypervisor, "attachVolume").mockRejectedValue(new SternaError("no_capacity", "no port is left"));
		const attaching = first.volumes.attach({ ...about, volume: newVolume() });
		if (runs) {
			await expect(attaching).rejects.toMatchObject({ code: "no_capacity" });
			expect(first.spec(spec.id)?.volumes).toEqual(spec.volumes);
			expect((await files()).sort()).toEqual(filesOf(spec));
		} else await attaching;
		expect(first.holds.refusal(spec.id, "start")).toBeNull();
	});

	test("a volume moves to another pool, and the guest starts from there", async () => {
		const { first, spec, volume, files, about } = await begin();
		await first.volumes.move({ ...about, volumeId: volume.id, pool: "fast" });
		await first.volumes.move({ ...about, volumeId: volume.id, pool: "fast" });
		expect(await files()).toEqual([`fast/${volume.id}`]);
		expect(first.spec(spec.id)?.volumes[0]).toMatchObject({ pool: "fast" });
		await first.guests.powerOff(spec.id, 1);
		await first.guests.start(spec.id, 1);
		const nowhere = first.volumes.move({ ...about, volumeId: volume.id, pool: "nowhere" });
		await expect(nowhere).rejects.toMatchObject({ code: "not_found" });
	});

	test("a move that fails leaves the volume where it was and the guest to itself", async () => {
		const { first, spec, volume, files, about } = await begin();
		first.hypervisor.faults.failAt("moveVolume");
		const moving = first.volumes.move({ ...about, volumeId: volume.id, pool: "fast" });
		await expect(moving).rejects.toMatchObject({ code: "unavailable" });
		expect(await files()).toEqual(filesOf(spec));
		expect(first.holds.refusal(spec.id, "changeVolumes")).toBeNull();
	});

	test("a volume is not changed while something else has the guest, or under another grant", async () => {
		const { first, spec, volume, about } = await begin();
		const larger = { ...about, volumeId: volume.id, sizeBytes: volume.sizeBytes + MiB };
		const letGo = first.holds.place(spec.id, { reason: "is being restored", refuses: ["changeVolumes"] });
		await expect(first.volumes.grow(larger)).rejects.toMatchObject({ code: "conflict" });
		await expect(first.volumes.attach({ ...about, volume: newVolume() })).rejects.toMatchObject({ code: "conflict" });
		const moving = first.volumes.move({ ...about, volumeId: volume.id, pool: "fast" });
		await expect(moving).rejects.toMatchObject({ code: "conflict" });
		letGo();
		await expect(first.volumes.grow({ ...larger, epoch: 2 })).rejects.toMatchObject({ code: "wrong_state" });
		await first.volumes.grow(larger);
	});

	describe.each(["before", "after"] as const)("after an agent that died %s any step", (when) => {
		test.each(["grow", "attach", "move"] as const)(
			"of a %s the guest is whole and starts, and no file is left over",
			async (what) => {
				for (let step = 0; ; step++) {
					const { live, files, spec, volume, first, about } = await begin();
					await first.hypervisor.close();
					const { death, died } = dieAt(step, when);
					const doomed = await live(death);
					const change = { ...about, volumeId: volume.id };
					const ended = {
						grow: () => doomed.volumes.grow({ ...change, sizeBytes: volume.sizeBytes + MiB }),
						attach: () => doomed.volumes.attach({ ...about, volume: newVolume() }),
						move: () => doomed.volumes.move({ ...change, pool: "fast" }),
					}[what]();
					const survived = await Promise.race([ended.then(() => true), died.then(() => false)]);
					await doomed.hypervisor.close();

					const next = await live();
					await expect.poll(() => next.holds.refusal(spec.id, "start")).toBeNull();
					const now = next.spec(spec.id) ?? spec;
					expect((await files()).sort()).toEqual(filesOf(now));
					for (const [index, location] of next.places.volumes(now).entries()) {
						const { sizeBytes } = await next.hypervisor.inspectVolume(location);
						expect(sizeBytes).toBe(now.volumes[index]?.sizeBytes);
					}
					if (runs) expect(next.guests.view(spec.id)).toMatchObject({ state: "running" });
					await next.guests.powerOff(spec.id, 1);
					await next.guests.start(spec.id, 1);
					await next.hypervisor.powerOff(spec.id);
					await next.hypervisor.close();
					if (survived) return expect(step).toBeGreaterThan(1);
				}
			},
		);
	});
});

test("a move of a volume tells how far it is, until it has ended", async () => {
	const { live } = await server();
	const spec = guestSpec();
	const { guests, volumes, hypervisor } = await live();
	await guests.create(spec, 1);
	const [volume] = spec.volumes;
	if (!volume) throw new Error("the guest has no volume");
	const told: unknown[] = [];
	const { moveVolume } = hypervisor;
	vi.spyOn(hypervisor, "moveVolume").mockImplementation(async (move, signal) => {
		told.push(volumes.moveOf(spec.id));
		move.onProgress({ transferredBytes: 3 * MiB, totalBytes: 4 * MiB });
		told.push(volumes.moveOf(spec.id));
		await moveVolume.call(hypervisor, move, signal);
	});
	await volumes.move({ guestId: spec.id, epoch: 1, volumeId: volume.id, pool: "fast" });
	const under = { volumeId: volume.id, toPool: "fast" };
	expect(told).toEqual([
		{ ...under, copiedBytes: 0, totalBytes: 0 },
		{ ...under, copiedBytes: 3 * MiB, totalBytes: 4 * MiB },
	]);
	await expect.poll(() => volumes.moveOf(spec.id)).toBeNull();
});

test("a move to another host makes the move of a volume give way", async () => {
	const { live, files } = await server();
	const spec = guestSpec();
	const { guests, volumes, holds, hypervisor } = await live();
	await guests.create(spec, 1);
	const reached = Promise.withResolvers<void>();
	vi.spyOn(hypervisor, "moveVolume").mockImplementation((_move, signal) => {
		reached.resolve();
		return new Promise((_, reject) => {
			signal.addEventListener("abort", () => reject(new SternaError("cancelled", "it was cancelled")));
		});
	});
	const [volume] = spec.volumes;
	if (!volume) throw new Error("the guest has no volume");
	const moving = volumes.move({ guestId: spec.id, epoch: 1, volumeId: volume.id, pool: "fast" });
	moving.catch(() => {});
	await reached.promise;
	expect(holds.refusal(spec.id, "migrate")).toContain("moved to another pool");
	await holds.makeWay(spec.id);
	await expect(moving).rejects.toMatchObject({ code: "cancelled" });
	expect(holds.refusal(spec.id, "migrate")).toBeNull();
	expect(await files()).toEqual(filesOf(spec));
});
