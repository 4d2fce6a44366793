import type { GuestId } from "@sterna/shared/ids";
import type { VolumeSeat } from "@sterna/shared/volume";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AcceptedGuest, Hypervisor, StartRequest } from "./hypervisor.ts";
import { countsOn, type DriverUnderTest, parseCounts, readCounts, readSerial, Site, until } from "./testing/site.ts";

const never = new AbortController().signal;

/** The part of the contract that two servers keep together: server `a` has the guest, server `b` is to get it. */
export function describeMoves(make: () => Promise<DriverUnderTest>): void {
	describe("a move", () => {
		let site: Site;
		let a: Hypervisor;
		let b: Hypervisor;

		beforeEach(async () => {
			site = new Site(await make());
			[a, b] = [site.open("a"), site.open("b")];
			await a.adopt();
			await b.adopt();
		});
		afterEach(() => site.close());

		const startGuest = async (): Promise<StartRequest> => {
			const request = await site.newGuest(a);
			await a.start(request);
			await countsOn(a, request.spec.id);
			return request;
		};
		/** A started guest on `a`, and `b` waiting for it. */
		const prepareMove = async (how: "shared" | "copied") => {
			const request = await startGuest();
			const { id } = request.spec;
			const { machine, seats } = await sourceOf(a, id);
			const atTarget = how === "copied" ? await site.withOwnVolumes(b, request) : request;
			const copiedVolumes = how === "copied" ? request.volumes.map((volume) => volume.volumeId) : [];
			const accepted = await b.accept({ ...atTarget, machine, seats, copiedVolumes });
			return { request, atTarget, id, accepted };
		};
		const copyDisks = async (request: StartRequest, accepted: AcceptedGuest) => {
			const socket = accepted.diskSocket;
			if (socket === null) return;
			const disks = request.volumes.map(({ volumeId }) => ({ volumeId, socket }));
			await a.copyDisks({ guestId: request.spec.id, disks, onProgress: () => undefined }, never);
		};
		const copyMemory = (from: Hypervisor, guestId: StartRequest["spec"]["id"], socket: string, signal = never) =>
			from.copyMemory({ guestId, socket, downtimeLimitMs: 30, onProgress: () => undefined }, signal);
		const finish = async (to: Hypervisor, guestId: StartRequest["spec"]["id"]) => {
			await until(() => to.isLoaded(guestId), "the target has everything");
			return to.release(guestId);
		};
		const unharmed = async (guestId: StartRequest["spec"]["id"]) => {
			expect((await a.inspect(guestId)).state).toBe("running");
			await countsOn(a, guestId);
			const counts = await readCounts(a, guestId);
			expect(counts).toEqual(counts.map((_, index) => index + 1));
		};

		test("with a shared volume goes there and back, without a gap on the serial line", async () => {
			const there = await prepareMove("shared");
			const { id, request } = there;
			expect(there.accepted.diskSocket).toBeNull();
			expect((await b.inspect(id)).state).toBe("loading");
			const beganAt = Date.now();
			const { pausedAt } = await copyMemory(a, id, there.accepted.memorySocket);
			expect((await a.inspect(id)).state).toBe("paused");
			await a.switchOver(id, never);
			expect((await a.inspect(id)).state).toBe("handedOver");
			await expect(a.resume(id)).rejects.toMatchObject({ code: "wrong_state" });
			const { resumedAt } = await finish(b, id);
			const endedAt = Date.now();
			// QEMU tells microseconds.
			const times = [beganAt, pausedAt, resumedAt, endedAt].map(Math.floor);
			expect(times).toEqual(times.toSorted((one, other) => one - other));
			await a.powerOff(id);
			await countsOn(b, id);

			const outward = await readSerial(a, id);
			const { machine, seats } = await sourceOf(b, id);
			const back = await a.accept({ ...request, machine, seats, copiedVolumes: [] });
			await copyMemory(b, id, back.memorySocket);
			await b.switchOver(id, never);
			await finish(a, id);
			const inward = await readSerial(b, id);
			await b.powerOff(id);
			await countsOn(a, id);
			const homeward = (await readSerial(a, id)).slice(outward.length);
			const counts = parseCounts(outward + inward + homeward);
			expect(counts).toEqual(counts.map((_, index) => index + 1));
		});

		test("with a local volume takes the volume along", async () => {
			const { request, atTarget, id, accepted } = await prepareMove("copied");
			const seen: number[] = [];
			const disks = request.volumes.map(({ volumeId }) => ({ volumeId, socket: accepted.diskSocket ?? "" }));
			await a.copyDisks(
				{ guestId: id, disks, onProgress: ({ transferredBytes }) => seen.push(transferredBytes) },
				never,
			);
			expect(seen.at(-1)).toBeGreaterThan(0);
			await countsOn(a, id);
			await copyMemory(a, id, accepted.memorySocket);
			await a.switchOver(id, never);
			await finish(b, id);
			await a.powerOff(id);
			await countsOn(b, id);
			await b.pause(id);
			const counts = parseCounts((await readSerial(a, id)) + (await readSerial(b, id)));
			expect(counts).toEqual(counts.map((_, index) => index + 1));
			await b.powerOff(id);
			const [atSource, copied] = [request.volumes[0], atTarget.volumes[0]];
			if (!atSource || !copied) throw new Error("the guest has no volume");
			expect(await site.readCount(copied)).toBeGreaterThanOrEqual(counts.at(-1) ?? 0);
			expect(await site.readCount(atSource)).toBeLessThan(counts.at(-1) ?? 0);
		});

		test("is released once: again changes nothing, and before it is complete it is refused", async () => {
			const { id, accepted } = await prepareMove("shared");
			await expect(b.release(id)).rejects.toMatchObject({ code: "wrong_state" });
			expect(await b.isLoaded(id)).toBe(false);
			await copyMemory(a, id, accepted.memorySocket);
			await a.switchOver(id, never);
			await finish(b, id);
			await b.release(id);
			expect((await b.inspect(id)).state).toBe("running");
			await countsOn(b, id);
		});

		test("is loaded and held while nobody releases it, also by a new life of the target's driver", async () => {
			const { id, accepted } = await prepareMove("shared");
			await copyMemory(a, id, accepted.memorySocket);
			await a.switchOver(id, never);
			await until(() => b.isLoaded(id), "the target has everything");
			await expect(b.resume(id)).rejects.toMatchObject({ code: "wrong_state" });
			await b.close();
			b = site.open("b");
			expect(await b.adopt()).toMatchObject([{ guestId: id, state: "loaded" }]);
			expect(await readCounts(b, id)).toEqual([]);
			await b.release(id);
			await countsOn(b, id);
		});

		test("is not begun by a target that does not know the machine", async () => {
			const request = await startGuest();
			const accepting = b.accept({ ...request, machine: "pc-q35-99.0", seats: [], copiedVolumes: [] });
			await expect(accepting).rejects.toMatchObject({ code: "incompatible" });
			expect((await b.inspect(request.spec.id)).state).toBe("absent");
		});

		test("given up by the policy leaves the guest running", async () => {
			const { id, accepted } = await prepareMove("shared");
			const relay = await site.relay(accepted.memorySocket);
			relay.hold();
			const onProgress = () => ({ abandon: "the guest writes faster than the link copies" });
			const copying = a.copyMemory({ guestId: id, socket: relay.socket, downtimeLimitMs: 30, onProgress }, never);
			await expect(copying).rejects.toMatchObject({
				code: "wrong_state",
				message: expect.stringContaining("faster"),
			});
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("cancelled while memory is copied leaves the guest running, and the next one succeeds", async () => {
			const { request, id, accepted } = await prepareMove("copied");
			const relay = await site.relay(accepted.memorySocket);
			relay.hold();
			const cancel = new AbortController();
			await copyDisks(request, accepted);
			const copying = copyMemory(a, id, relay.socket, cancel.signal);
			cancel.abort();
			await expect(copying).rejects.toMatchObject({ code: "cancelled" });
			await a.cancelMigration(id);
			await unharmed(id);
			await b.powerOff(id);

			const { machine, seats } = await sourceOf(a, id);
			const copiedVolumes = request.volumes.map((volume) => volume.volumeId);
			const again = await b.accept({ ...(await site.withOwnVolumes(b, request)), machine, seats, copiedVolumes });
			await copyDisks(request, again);
			await copyMemory(a, id, again.memorySocket);
			await a.switchOver(id, never);
			await finish(b, id);
			await countsOn(b, id);
		});

		test("cancelled at the pause leaves the guest running", async () => {
			const { request, id, accepted } = await prepareMove("copied");
			await copyDisks(request, accepted);
			await copyMemory(a, id, accepted.memorySocket);
			await expect(a.resume(id)).rejects.toMatchObject({ code: "wrong_state" });
			await a.cancelMigration(id);
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("whose target dies at the pause fails, and the guest runs on at its source", async () => {
			const { request, id, accepted } = await prepareMove("copied");
			await copyDisks(request, accepted);
			await copyMemory(a, id, accepted.memorySocket);
			await site.kill(b, id);
			await expect(a.switchOver(id, never)).rejects.toThrow();
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("whose link breaks while memory is copied fails, and the guest never stops", async () => {
			const { id, accepted } = await prepareMove("shared");
			const relay = await site.relay(accepted.memorySocket);
			relay.hold();
			const onProgress = () => {
				relay.cut();
				return undefined;
			};
			const copying = a.copyMemory({ guestId: id, socket: relay.socket, downtimeLimitMs: 30, onProgress }, never);
			await expect(copying).rejects.toMatchObject({ code: "unavailable" });
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("whose link goes dead at the switchover ends at its deadline, and the guest runs on at its source", async () => {
			const { id, accepted } = await prepareMove("shared");
			const relay = await site.relay(accepted.memorySocket);
			await copyMemory(a, id, relay.socket);
			relay.hold();
			await expect(a.switchOver(id, never)).rejects.toMatchObject({ code: "timeout" });
			expect(await b.isLoaded(id)).toBe(false);
			await a.cancelMigration(id);
			await unharmed(id);
			relay.letGo();
			expect(await readCounts(b, id)).toEqual([]);
		});

		test("whose disk link broke after the copy was in sync is refused at the switchover: a write would be lost", async () => {
			const { request, id, accepted } = await prepareMove("copied");
			const relay = await site.relay(accepted.diskSocket ?? "");
			await copyDisks(request, { ...accepted, diskSocket: relay.socket });
			relay.cut();
			const moving = copyMemory(a, id, accepted.memorySocket).then(() => a.switchOver(id, never));
			await expect(moving).rejects.toMatchObject({ code: "unavailable" });
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("is undone by a new life of the source's driver", async () => {
			const { request, id, accepted } = await prepareMove("copied");
			await copyDisks(request, accepted);
			await copyMemory(a, id, accepted.memorySocket);
			await a.close();
			a = site.open("a");
			expect(await a.adopt()).toMatchObject([{ guestId: id, state: "paused" }]);
			await a.cancelMigration(id);
			await unharmed(id);
		});

		test("is cancelled as well when there is none, and the guest just runs", async () => {
			const { spec } = await startGuest();
			await a.cancelMigration(spec.id);
			await unharmed(spec.id);
		});
	});
}

/** What the target must know of the process that the guest leaves. */
async function sourceOf(source: Hypervisor, guestId: GuestId): Promise<{ machine: string; seats: VolumeSeat[] }> {
	const { machine, seats } = await source.inspect(guestId);
	return { machine: machine ?? "", seats };
}
