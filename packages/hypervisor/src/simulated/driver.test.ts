import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { MiB } from "@sterna/shared/units";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeHypervisorContract } from "../contract.ts";
import { describeBackups } from "../contract-backups.ts";
import { type DriverUnderTest, Site } from "../testing/site.ts";
import { type CopyModel, copyStep } from "./clock.ts";
import { SimulatedHypervisor } from "./driver.ts";
import { SimulatedVolume } from "./record.ts";
import { contentOf } from "./snapshot-content.ts";

describeHypervisorContract("the simulated driver", makeSimulated);
describe("backups, kept by the simulated driver", () => describeBackups(makeSimulated));

async function makeSimulated(): Promise<DriverUnderTest> {
	const folder = await mkdtemp(join(tmpdir(), "sim-"));
	return {
		folder,
		image: undefined,
		open: (server) => new SimulatedHypervisor({ runFolder: join(folder, server), tickMs: 10, answerMs: 3000 }),
		kill: async (driver, guestId) => {
			if (!(driver instanceof SimulatedHypervisor)) throw new Error("another driver's guest");
			await driver.crash(guestId);
		},
		readCount: async ({ path }) => SimulatedVolume.parse(JSON.parse(await readFile(path, "utf8"))).count,
		readContent: async ({ path }) => contentOf(SimulatedVolume.parse(JSON.parse(await readFile(path, "utf8")))),
		close: () => rm(folder, { recursive: true, force: true }),
	};
}

describe("faults that are asked for", () => {
	let site: Site;
	let driver: SimulatedHypervisor;

	beforeEach(async () => {
		const underTest = await makeSimulated();
		site = new Site(underTest);
		driver = new SimulatedHypervisor({ runFolder: join(underTest.folder, "a"), tickMs: 10 });
	});
	afterEach(async () => {
		await driver.close();
		await site.close();
	});

	test("before: nothing has happened, and the next try succeeds", async () => {
		const request = await site.newGuest(driver);
		driver.faults.failAt("start");
		await expect(driver.start(request)).rejects.toMatchObject({ code: "unavailable" });
		expect((await driver.inspect(request.spec.id)).state).toBe("absent");
		await driver.start(request);
	});

	test("after: all has happened, and only the answer is lost", async () => {
		const request = await site.newGuest(driver);
		const error = new SternaError("timeout", "no answer");
		driver.faults.failAt("start", { when: "after", error });
		await expect(driver.start(request)).rejects.toBe(error);
		expect((await driver.inspect(request.spec.id)).state).toBe("running");
	});
});

test("a guest that writes faster than the link copies converges when it is throttled, and not before", () => {
	const rates = { stepMs: 10, linkBytesPerSecond: 100 * MiB, dirtyBytesPerSecond: 200 * MiB };
	const start = { remainingBytes: 64 * MiB, transferredBytes: 0, passes: 0 };
	expect(steps(start, 100, rates).remainingBytes).toBeGreaterThan(start.remainingBytes);
	expect(steps(start, 100, { ...rates, dirtyBytesPerSecond: 10 * MiB }).remainingBytes).toBeLessThan(MiB);
});

function steps(model: CopyModel, count: number, rates: Parameters<typeof copyStep>[1]): CopyModel {
	return count === 0 ? model : steps(copyStep(model, rates), count - 1, rates);
}
