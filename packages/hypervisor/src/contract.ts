import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeMoves } from "./contract-moves.ts";
import { describeVolumes } from "./contract-volumes.ts";
import type { Hypervisor, StartRequest } from "./hypervisor.ts";
import { collectEvents, countsOn, type DriverUnderTest, readCounts, readSerial, Site, until } from "./testing/site.ts";

/**
 * What every driver must do, as an agent sees it. The guest of the suite counts on its serial line, in its memory and
 * on its disk, so that a lost write, a lost page, a reboot or a second copy of it would be seen.
 */
export function describeHypervisorContract(name: string, make: () => Promise<DriverUnderTest>): void {
	describe(`the contract of a hypervisor, kept by ${name}`, () => {
		let site: Site;
		let a: Hypervisor;

		beforeEach(async () => {
			site = new Site(await make());
			a = site.open("a");
			await a.adopt();
		});
		afterEach(() => site.close());

		const startGuest = async (): Promise<StartRequest> => {
			const request = await site.newGuest(a);
			await a.start(request);
			await countsOn(a, request.spec.id);
			return request;
		};
		const unharmed = async (guestId: StartRequest["spec"]["id"]) => {
			expect((await a.inspect(guestId)).state).toBe("running");
			await countsOn(a, guestId);
			const counts = await readCounts(a, guestId);
			expect(counts).toEqual(counts.map((_, index) => index + 1));
		};

		describe("a guest's life", () => {
			test("a started guest runs, and its serial line and its use of the machine can be read", async () => {
				const { spec } = await startGuest();
				const report = await a.inspect(spec.id);
				expect(report.state).toBe("running");
				expect(report.accelerator).toBe((await a.probe()).probe.accelerator);
				expect((await a.probe()).machineTypes).toContain(report.machine);
				const stats = await a.stats(spec.id);
				expect(stats.memoryResidentBytes).toBeGreaterThan(0);
				await until(
					async () => (await a.stats(spec.id)).diskWriteBytes > stats.diskWriteBytes,
					"disk writes are counted",
				);
				await until(async () => (await a.stats(spec.id)).cpuTimeMs > stats.cpuTimeMs, "CPU time is counted");
			});

			test("a guest that has a process is not started a second time", async () => {
				const request = await startGuest();
				await expect(a.start(request)).rejects.toMatchObject({ code: "conflict" });
				await unharmed(request.spec.id);
			});

			test("two starts at once give one guest", async () => {
				const request = await site.newGuest(a);
				const results = await Promise.allSettled([a.start(request), a.start(request)]);
				expect(results.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
				await countsOn(a, request.spec.id);
			});

			test("a guest whose volume is missing is refused, and starts once it is there", async () => {
				const request = await site.newGuest(a);
				const [volume] = request.volumes;
				if (!volume) throw new Error("the guest has no volume");
				const elsewhere = { ...volume, path: `${volume.path}-missing` };
				await expect(a.start({ ...request, volumes: [elsewhere] })).rejects.toMatchObject({ code: "not_found" });
				expect((await a.inspect(request.spec.id)).state).toBe("absent");
				await a.start(request);
				await countsOn(a, request.spec.id);
			});

			test("a paused guest does not count, a resumed one goes on where it stood", async () => {
				const { spec } = await startGuest();
				await a.pause(spec.id);
				await a.pause(spec.id);
				expect((await a.inspect(spec.id)).state).toBe("paused");
				const before = await readCounts(a, spec.id);
				await a.stats(spec.id);
				expect(await readCounts(a, spec.id)).toEqual(before);
				await a.resume(spec.id);
				await unharmed(spec.id);
			});

			test("a picture of the screen is a PNG, also of a paused guest, and nothing of it is left", async () => {
				const { spec } = await startGuest();
				const signature = Buffer.from("89504e470d0a1a0a", "hex");
				expect(Buffer.from(await a.screenshot(spec.id)).subarray(0, 8)).toEqual(signature);
				await a.pause(spec.id);
				expect(Buffer.from(await a.screenshot(spec.id)).subarray(0, 8)).toEqual(signature);
				await a.resume(spec.id);
				await unharmed(spec.id);
				await a.powerOff(spec.id);
				await expect(a.screenshot(spec.id)).rejects.toMatchObject({ code: "not_found" });
			});

			test("of a guest without an agent nobody waits for one to answer", async () => {
				const { spec } = await startGuest();
				expect(await a.isGuestAgentAlive(spec.id, 3_600_000)).toBe(false);
				await unharmed(spec.id);
			});

			test("what is written to the serial line reaches the guest", async () => {
				const { spec } = await startGuest();
				await a.serialWrite(spec.id, Buffer.from("x"));
				await until(async () => (await readSerial(a, spec.id)).includes(">x"), "the guest echoes");
			});

			test("the power button turns the guest off, and that is no crash", async () => {
				const { spec } = await startGuest();
				const events = collectEvents(a);
				await a.shutDown(spec.id);
				await until(async () => (await a.inspect(spec.id)).state === "absent", "the guest is off");
				await until(async () => events.some((event) => event.type === "poweredOff"), "the power-off is told");
				await until(async () => events.at(-1)?.type === "poweredOff" || events.some(isAbsent), "the end is told");
				expect(events.map((event) => event.type)).not.toContain("crashed");
				expect((await a.inspect(spec.id)).ending).toBe("the guest powered off");
			});

			test("a guest that restarts itself is told as rebooted and keeps its process", async () => {
				const { spec } = await startGuest();
				const events = collectEvents(a);
				const { pid } = await a.inspect(spec.id);
				await a.serialWrite(spec.id, Buffer.from("r"));
				await until(async () => events.some((event) => event.type === "rebooted"), "the restart is told");
				expect(await a.inspect(spec.id)).toMatchObject({ state: "running", pid });
			});

			test("powering off ends the process, and once more changes nothing", async () => {
				const { spec } = await startGuest();
				const events = collectEvents(a);
				await a.powerOff(spec.id);
				expect((await a.inspect(spec.id)).state).toBe("absent");
				await a.powerOff(spec.id);
				expect(events.map((event) => event.type)).not.toContain("crashed");
				await expect(a.pause(spec.id)).rejects.toMatchObject({ code: "not_found" });
				await expect(a.stats(spec.id)).rejects.toMatchObject({ code: "not_found" });
			});

			test("what a deleted guest printed is removed, but not while it runs", async () => {
				const { spec } = await startGuest();
				await expect(a.forget(spec.id)).rejects.toMatchObject({ code: "conflict" });
				await unharmed(spec.id);
				await a.powerOff(spec.id);
				await a.forget(spec.id);
				await a.forget(spec.id);
				expect(await readSerial(a, spec.id)).toBe("");
				expect(await a.inspect(spec.id)).toMatchObject({ state: "absent", machine: null, ending: null });
			});

			test("a guest whose process is killed from outside is told as crashed, with how it ended, and can be started again", async () => {
				const request = await startGuest();
				const events = collectEvents(a);
				await site.kill(a, request.spec.id);
				await until(async () => events.some((event) => event.type === "crashed"), "the crash is told");
				const crash = events.find((event) => event.type === "crashed");
				expect(crash).toMatchObject({ guestId: request.spec.id, ending: expect.stringContaining("SIGKILL") });
				expect(await a.inspect(request.spec.id)).toMatchObject({
					state: "absent",
					ending: expect.stringContaining("SIGKILL"),
				});
				await a.start(request);
				await countsOn(a, request.spec.id);
			});
		});

		describe("a new life of the driver", () => {
			test("finds the guests that ran on, whole", async () => {
				const { spec } = await startGuest();
				await a.close();
				a = site.open("a");
				expect(await a.adopt()).toMatchObject([{ guestId: spec.id, state: "running" }]);
				await unharmed(spec.id);
				await a.serialWrite(spec.id, Buffer.from("y"));
				await until(async () => (await readSerial(a, spec.id)).includes(">y"), "the guest echoes");
				await a.powerOff(spec.id);
				expect((await a.inspect(spec.id)).state).toBe("absent");
			});

			test("finds each guest once, and none that was powered off", async () => {
				const first = await startGuest();
				const second = await startGuest();
				await a.powerOff(first.spec.id);
				await a.close();
				a = site.open("a");
				expect((await a.adopt()).map((report) => report.guestId)).toEqual([second.spec.id]);
				expect(await a.adopt()).toEqual([]);
			});

			test("sees that an adopted guest is killed", async () => {
				const { spec } = await startGuest();
				await a.close();
				a = site.open("a");
				await a.adopt();
				const events = collectEvents(a);
				await site.kill(a, spec.id);
				await until(async () => events.some((event) => event.type === "crashed"), "the crash is told");
			});
		});
		describeVolumes(make);
	});
	describe(`the contract of a hypervisor, kept by ${name} on both ends`, () => describeMoves(make));
}

function isAbsent(event: { type: string; report?: { state: string } }): boolean {
	return event.type === "stateChanged" && event.report?.state === "absent";
}
