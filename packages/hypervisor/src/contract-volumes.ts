import type { GuestSpec } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { sparePortCount } from "@sterna/shared/volume";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor, StartRequest, VolumeLocation } from "./hypervisor.ts";
import { countsOn, type DriverUnderTest, readCounts, Site, until } from "./testing/site.ts";

const never = new AbortController().signal;

/** What a driver does to volumes, also under the guest that counts on one of them. */
export function describeVolumes(make: () => Promise<DriverUnderTest>): void {
	describe("volumes", () => {
		let site: Site;
		let a: Hypervisor;

		beforeEach(async () => {
			site = new Site(await make());
			a = site.open("a");
			await a.adopt();
		});
		afterEach(() => site.close());

		const newGuest = async () => {
			const request = await site.newGuest(a);
			const [volume] = request.volumes;
			const [described] = request.spec.volumes;
			if (!volume || !described) throw new Error("the guest has no volume");
			return { request, id: request.spec.id, volume, sizeBytes: described.sizeBytes };
		};
		const startGuest = async () => {
			const guest = await newGuest();
			await a.start(guest.request);
			await countsOn(a, guest.id);
			return guest;
		};
		const unharmed = async (guestId: GuestId) => {
			expect((await a.inspect(guestId)).state).toBe("running");
			await countsOn(a, guestId);
			const counts = await readCounts(a, guestId);
			expect(counts).toEqual(counts.map((_, index) => index + 1));
		};
		const newLife = async () => {
			await a.close();
			a = site.open("a");
			await a.adopt();
		};
		const move = (guestId: GuestId, { volumeId, path }: VolumeLocation, to: string, signal = never) =>
			a.moveVolume({ guestId, volumeId, from: path, to, onProgress: () => undefined }, signal);
		const expectOnlyAt = async (volume: VolumeLocation, path: string) => {
			const other = path === volume.path ? `${volume.path}-moved` : volume.path;
			expect(await a.inspectVolume({ ...volume, path })).toMatchObject({ exists: true });
			expect(await a.inspectVolume({ ...volume, path: other })).toMatchObject({ exists: false });
		};

		test("a volume is made once: again is no change, another size a conflict, deleted is gone", async () => {
			const { volume, sizeBytes } = await newGuest();
			await a.createVolume({ ...volume, sizeBytes });
			expect(await a.inspectVolume(volume)).toMatchObject({ exists: true, sizeBytes });
			await expect(a.createVolume({ ...volume, sizeBytes: 2 * sizeBytes })).rejects.toMatchObject({
				code: "conflict",
			});
			expect(await a.inspectVolume(volume)).toMatchObject({ exists: true, sizeBytes });
			await a.deleteVolume(volume);
			await a.deleteVolume(volume);
			expect(await a.inspectVolume(volume)).toMatchObject({ exists: false });
		});

		describe.each([
			["running", startGuest],
			["stopped", newGuest],
		] as const)("of a %s guest", (how, make) => {
			test("grow and never shrink", async () => {
				const { id, volume, sizeBytes } = await make();
				const larger = { guestId: id, ...volume, sizeBytes: sizeBytes + 8 * MiB };
				await a.growVolume(larger);
				await a.growVolume(larger);
				await expect(a.growVolume({ ...larger, sizeBytes })).rejects.toMatchObject({ code: "invalid" });
				expect(await a.inspectVolume(volume)).toMatchObject({ sizeBytes: larger.sizeBytes });
				if (how === "running") await unharmed(id);
			});

			test("move to another place: the old file is gone, and nothing that was written is lost", async () => {
				const { request, id, volume } = await make();
				const to = `${volume.path}-moved`;
				const seen: number[] = [];
				const onProgress = ({ transferredBytes }: { transferredBytes: number }) => seen.push(transferredBytes);
				await a.moveVolume({ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress }, never);
				await expectOnlyAt(volume, to);
				expect(seen.length).toBeGreaterThan(0);
				await move(id, volume, to);
				await expectOnlyAt(volume, to);
				if (how === "running") await unharmed(id);
				const counted = how === "running" ? ((await readCounts(a, id)).at(-1) ?? 0) : 0;
				await a.powerOff(id);
				expect(await site.readCount({ ...volume, path: to })).toBeGreaterThanOrEqual(counted);
				await a.start({ ...request, volumes: [{ ...volume, path: to }] });
				await countsOn(a, id);
				expect((await a.inspect(id)).seats).toEqual([]);
			});

			test("stay where they are when their new place is not there, or when the move is cancelled", async () => {
				const { id, volume } = await make();
				await expect(move(id, volume, `${volume.path}-missing/volume`)).rejects.toThrow();
				await expectOnlyAt(volume, volume.path);
				const cancelled = AbortSignal.abort();
				await expect(move(id, volume, `${volume.path}-moved`, cancelled)).rejects.toMatchObject({ code: "cancelled" });
				await expectOnlyAt(volume, volume.path);
				if (how === "running") await unharmed(id);
			});
		});

		test("a move that is cancelled while it copies leaves the guest on the old file, and the next one succeeds", async () => {
			const { id, volume } = await startGuest();
			const cancel = new AbortController();
			const [to, onProgress] = [`${volume.path}-moved`, () => cancel.abort()];
			const moving = a.moveVolume(
				{ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress },
				cancel.signal,
			);
			await expect(moving).rejects.toMatchObject({ code: "cancelled" });
			await expectOnlyAt(volume, volume.path);
			await unharmed(id);
			await move(id, volume, to);
			await expectOnlyAt(volume, to);
			await unharmed(id);
		});

		test("a move whose driver dies while it copies is settled by the next life, with one file left", async () => {
			const { id, volume } = await startGuest();
			const to = `${volume.path}-moved`;
			const dead = a;
			const onProgress = () => void dead.close();
			const moving = a.moveVolume({ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress }, never);
			await moving.catch(() => undefined);
			await newLife();
			await unharmed(id);
			const moved = await a.inspectVolume({ ...volume, path: to });
			await expectOnlyAt(volume, moved.exists ? to : volume.path);
			await move(id, volume, to);
			await expectOnlyAt(volume, to);
			await unharmed(id);
		});

		test("a move whose guest is killed leaves one file, from which the guest starts", async () => {
			const { request, id, volume } = await startGuest();
			const to = `${volume.path}-moved`;
			let killed: Promise<void> | null = null;
			const onProgress = () => {
				killed ??= site.kill(a, id);
			};
			const moving = a.moveVolume({ guestId: id, volumeId: volume.volumeId, from: volume.path, to, onProgress }, never);
			await moving.catch(() => undefined);
			await killed;
			await until(async () => (await a.inspect(id)).state === "absent", "the guest's end is seen");
			const moved = await a.inspectVolume({ ...volume, path: to });
			const path = moved.exists ? to : volume.path;
			await expectOnlyAt(volume, path);
			await a.start({ ...request, volumes: [{ ...volume, path }] });
			await countsOn(a, id);
		});

		describe("attached to a running guest", () => {
			const attach = async (guestId: GuestId) => {
				const volume = await site.newVolume(a, 4 * MiB);
				await a.attachVolume(guestId, volume);
				return volume;
			};
			const withVolumes = (request: StartRequest, more: VolumeLocation[]): StartRequest => {
				const described: GuestSpec["volumes"] = more.map(({ volumeId }) => ({
					id: volumeId,
					pool: "local",
					sizeBytes: 4 * MiB,
				}));
				const spec = { ...request.spec, volumes: [...request.spec.volumes, ...described] };
				return { ...request, spec, volumes: [...request.volumes, ...more] };
			};

			test("sit on spare ports until the next start, also for a new life of the driver", async () => {
				const { request, id } = await startGuest();
				const volumes = [await attach(id), await attach(id)];
				for (const volume of volumes) await a.attachVolume(id, volume);
				const seats = volumes.map(({ volumeId }, port) => ({ volumeId, port, moves: 0 }));
				expect((await a.inspect(id)).seats).toEqual(seats);
				await newLife();
				expect((await a.inspect(id)).seats).toEqual(seats);
				for (const volume of volumes) await a.attachVolume(id, volume);
				await unharmed(id);
				await a.powerOff(id);
				for (const volume of volumes) await a.attachVolume(id, volume);
				await a.start(withVolumes(request, volumes));
				await countsOn(a, id);
				expect((await a.inspect(id)).seats).toEqual([]);
			});

			test("are refused when no port is left, with what can be done", async () => {
				const { id } = await startGuest();
				for (let port = 0; port < sparePortCount; port++) await attach(id);
				const refused = expect.objectContaining({ code: "no_capacity", cure: expect.stringContaining("start") });
				await expect(attach(id)).rejects.toEqual(refused);
				expect((await a.inspect(id)).seats).toHaveLength(sparePortCount);
				await unharmed(id);
			});

			test("are refused when they are not there, and the guest has noticed nothing", async () => {
				const { id, volume } = await startGuest();
				const missing = { volumeId: (await site.newVolume(a, MiB)).volumeId, path: `${volume.path}-missing` };
				await expect(a.attachVolume(id, missing)).rejects.toMatchObject({ code: "not_found" });
				expect((await a.inspect(id)).seats).toEqual([]);
				await attach(id);
				await unharmed(id);
			});

			test("and moved to another place go along when the guest moves to another server, and grow there", async () => {
				const { request, id, volume } = await startGuest();
				const b = site.open("b");
				await b.adopt();
				const attached = await attach(id);
				const to = `${attached.path}-moved`;
				await move(id, attached, to);
				await move(id, volume, `${volume.path}-moved`);
				const { machine, seats } = await a.inspect(id);
				expect(seats).toEqual([
					{ volumeId: volume.volumeId, port: null, moves: 1 },
					{ volumeId: attached.volumeId, port: 0, moves: 1 },
				]);
				const moved = { ...request, volumes: [{ ...volume, path: `${volume.path}-moved` }] };
				const there = withVolumes(moved, [{ ...attached, path: to }]);
				const { memorySocket } = await b.accept({ ...there, machine: machine ?? "", seats, copiedVolumes: [] });
				await a.copyMemory(
					{ guestId: id, socket: memorySocket, downtimeLimitMs: 30, onProgress: () => undefined },
					never,
				);
				await a.switchOver(id, never);
				await until(() => b.isLoaded(id), "the target has everything");
				await b.release(id);
				await a.powerOff(id);
				await countsOn(b, id);
				expect((await b.inspect(id)).seats).toEqual(seats);
				await b.growVolume({ guestId: id, ...attached, path: to, sizeBytes: 8 * MiB });
				expect(await b.inspectVolume({ ...attached, path: to })).toMatchObject({ sizeBytes: 8 * MiB });
				await countsOn(b, id);
			});
		});
	});
}
