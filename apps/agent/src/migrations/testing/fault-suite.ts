import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from "vitest";
import { faultCases } from "./fault-cases.ts";
import type { GuestKind } from "./guest-kinds.ts";
import { TwoHosts, until } from "./two-hosts.ts";

/**
 * One guest that is moved between two agents while agents are killed and cables are cut. After each case it runs once,
 * has never booted again, and both agents agree whose it is.
 */
export function faultSuite(kind: GuestKind): void {
	let world: TwoHosts;
	beforeAll(async () => {
		world = await TwoHosts.open(kind);
	});
	afterAll(() => world?.close());
	beforeEach(() => {
		onTestFailed(async () => console.log(await world.logs()));
	});

	test("an undisturbed move: the guest goes on, on the other host, and nothing of it is left", async () => {
		const move = await world.startMove();
		expect(await move.ended()).toMatchObject({ state: "completed", error: null });
		world.moved();
		await world.expectOneGuest();
		expect(await world.hasLocalVolume(world.source)).toBe(true);
		expect(await world.hasLocalVolume(world.target)).toBe(false);
	});

	for (const { name, at, fault, staysOn, journal } of faultCases) {
		test(`${name}: the guest stays on the ${staysOn}`, { timeout: 180_000 }, async () => {
			const { source, target } = world;
			const paused = at.startsWith("source:") ? source.host : target.host;
			const { reached } = await paused.pauseAt(at);
			const move = await world.startMove();
			await reached;

			if (fault === "cut") {
				target.cable.cut();
				paused.goOn();
				await until("the source to notice", async () => (await move.report())?.state !== "running");
				target.cable.mend();
			} else {
				const killed = fault === "killSource" ? source.host : target.host;
				await killed.kill();
				// After the hand-over the source must find nobody first; before it, its word to discard should be heard.
				if (paused !== killed && staysOn === "target") paused.goOn();
				await killed.start();
				if (paused !== killed && staysOn === "source") paused.goOn();
			}

			const report = await move.ended();
			if (staysOn === "target") world.moved();
			expect(report.state).toBe(staysOn === "target" ? "completed" : "failed");
			expect(report.journal.map(({ text }) => text).join("; ")).toMatch(journal);
			await world.expectOneGuest();
			expect(await world.hasLocalVolume(world.source)).toBe(true);
			expect(await world.hasLocalVolume(world.target)).toBe(false);
		});
	}
}
