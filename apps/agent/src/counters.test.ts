import { rm } from "node:fs/promises";
import { expect, test } from "vitest";
import { Counters } from "./counters.ts";
import { testFolder } from "./fixtures/test-agent.ts";

test("connections have rising numbers, over any number of them and over restarts", async () => {
	const folder = await testFolder();
	let last = 0;
	for (let life = 0; life < 3; life += 1) {
		const counters = await Counters.open(folder);
		for (let count = 0; count < 1500; count += 1) {
			const next = await counters.nextConnection();
			expect(next).toBeGreaterThan(last);
			last = next;
		}
	}
});

test("an agent that cannot write any more reaches its console again", async () => {
	const folder = await testFolder();
	const counters = await Counters.open(folder);
	const first = await counters.nextConnection();
	await rm(folder, { recursive: true });
	expect(await counters.nextConnection()).toBeGreaterThan(first);
});
