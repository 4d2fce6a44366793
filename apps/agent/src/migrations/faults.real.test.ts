import { expect, test } from "vitest";
import { faultSuite } from "./testing/fault-suite.ts";
import { qemuKind } from "./testing/guest-kinds.ts";
import { TwoHosts } from "./testing/two-hosts.ts";

faultSuite(qemuKind);

test("a guest on a shared folder moves there and back with its memory alone", async () => {
	const world = await TwoHosts.open(qemuKind, { pool: "shared" });
	try {
		for (let hop = 0; hop < 2; hop++) {
			const report = await (await world.startMove()).ended();
			expect(report).toMatchObject({ state: "completed", disk: null });
			world.moved();
			await world.expectOneGuest();
		}
	} finally {
		await world.close();
	}
});
