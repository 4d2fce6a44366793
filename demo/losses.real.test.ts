import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Demo, startDemo } from "./demo.ts";
import { demoFolder, prepare } from "./prepare.ts";
import { until } from "./until.ts";

/**
 * The whole product under loss: a real console with its database, two agents, a guest that writes, and one of them killed
 * or cut off in the middle of a move. The agents' own suite stops at every phase; here the moments are spread over time.
 */
describe("a move survives the loss of", { timeout: 240_000 }, () => {
	let demo: Demo;
	let guestId: string;
	const guest = "orders-db";

	beforeAll(async () => {
		const say = () => {};
		demo = await startDemo({
			id: "sl",
			subnet: 80,
			serverCount: 2,
			consolePort: 3080,
			folder: demoFolder("losses"),
			...(await prepare(say)),
			say,
		});
		guestId = await demo.addGuest({ name: guest, pool: "local", load: "writer", beatMs: 50, server: "rack1-01" });
	}, 300_000);

	afterAll(() => demo?.close(), 60_000);

	test.each([0, 150, 400, 700, 1000])("the console, killed %d ms after the move began", async (delayMs) => {
		const { migrationId } = await demo.api.guests.migrate.mutate({ guestId });
		await new Promise((resolve) => setTimeout(resolve, delayMs));
		await demo.console.killAndRestart();
		await settled(migrationId);
		await runsOnce();
	});

	test.each([0, 1] as const)("the agent of server %d, killed in the middle", async (index) => {
		const { migrationId } = await demo.api.guests.migrate.mutate({ guestId });
		await until("memory being copied", 30_000, async () => {
			const { phase, endedAt } = await demo.api.migrations.get.query({ migrationId });
			return endedAt !== null || !["prepareTarget"].includes(phase);
		});
		await demo.servers[index]?.killAgent();
		demo.servers[index]?.startAgent();
		await settled(migrationId);
		await runsOnce();
	});

	test("the cable of the host that the guest moves to", async () => {
		const source = await hostOfGuest();
		const target = demo.servers.findIndex((server) => server.name !== source);
		const { migrationId } = await demo.api.guests.migrate.mutate({ guestId });
		await until("the move to begin", 30_000, async () => {
			const { report } = await demo.api.migrations.get.query({ migrationId });
			return report !== null;
		});
		await demo.network.setCable(target, false);
		await until("the console to miss the host", 60_000, async () => {
			const { rows } = await demo.api.hosts.list.query({ connection: ["offline"] });
			return rows.length === 1;
		});
		await demo.network.setCable(target, true);
		await settled(migrationId);
		await runsOnce();
	});

	test("nothing: a guest's disk travels without its holes, also the second time", async () => {
		const id = await demo.addGuest({ name: "web-1", pool: "local", load: "light", beatMs: 100 });
		for (const turn of ["first", "second"]) {
			const { migrationId } = await demo.api.guests.migrate.mutate({ guestId: id });
			await settled(migrationId);
			const { state, report } = await demo.api.migrations.get.query({ migrationId });
			expect(state, turn).toBe("completed");
			expect(report?.disk?.totalBytes, turn).toBeLessThan(32 * MiB);
		}
	});

	/** The move has ended, one way or the other, and says how. */
	async function settled(migrationId: string): Promise<void> {
		await until("the move to end", 120_000, async () => {
			const { endedAt, report } = await demo.api.migrations.get.query({ migrationId });
			return endedAt !== null && report !== null && report.journal.length > 0;
		});
	}

	/**
	 * Console and both agents name the same single owner; the guest beats there, and never restarted, lost or doubled; and
	 * nothing that the move left keeps it from moving again.
	 */
	async function runsOnce(): Promise<void> {
		let plan = "";
		await until("the guest to be able to move again", 60_000, async () => {
			const { candidates } = await demo.api.guests.planMigration.query({ guestId });
			plan = JSON.stringify(candidates);
			return candidates.some(({ chosen }) => chosen);
		}).catch((error) => {
			throw new Error(`${error.message}: ${plan}`);
		});
		await until("console and agents to agree", 60_000, async () => {
			const view = await demo.api.guests.get.query({ guestId });
			const owners = await Promise.all(demo.servers.map(async (server) => ownedEpoch(server.name)));
			const owner = owners.find(({ epoch }) => epoch !== null);
			return (
				owners.filter(({ epoch }) => epoch !== null).length === 1 &&
				view.host.name === owner?.name &&
				view.epoch === owner.epoch &&
				view.state === "running" &&
				view.moving === null
			);
		});
		const then = demo.heartbeats.pulse(guest)?.lastSeq ?? 0;
		const pulse = await demo.heartbeats.waitFor(
			guest,
			"twenty more beats",
			({ lastSeq }) => lastSeq > then + 20,
			30_000,
		);
		expect(pulse).toMatchObject({ duplicates: 0, diskErrors: 0, memoryErrors: 0 });
		expect(pulse.boots).toHaveLength(1);
	}

	/** The epoch under which a server's agent owns the guest; null when it does not. */
	async function ownedEpoch(name: string): Promise<{ name: string; epoch: number | null }> {
		const server = demo.servers.find((one) => one.name === name);
		const guests = (await server?.guests().catch(() => [])) ?? [];
		const report = guests.find((one) => one.guestId === guestId);
		return { name, epoch: report?.role === "owner" ? report.epoch : null };
	}

	async function hostOfGuest(): Promise<string> {
		return (await demo.api.guests.get.query({ guestId })).host.name;
	}
});
