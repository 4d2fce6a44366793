import { HostId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { Changes } from "../changes.ts";
import type { NewEvent } from "../events/log.ts";
import { Inventory, newHostEntry } from "./inventory.ts";
import { watchSilence } from "./silence.ts";

test("a host that stays away is written down once, and its return once; a short cut is not worth a word", async () => {
	const clock = { now: 1_000_000 };
	const inventory = new Inventory();
	const id = newId(HostId);
	const row = { id, name: "rack1-01", mode: "normal", revokedAt: null, quarantinedBecause: null } as const;
	const rest = { lastConnection: 0, facts: null, joinedAt: 0, lastHeardAt: null };
	const host = newHostEntry({ ...row, ...rest }, null, clock.now);
	inventory.hosts.set(id, host);
	const kinds: string[] = [];
	const alarms = { raise: async (_host: HostId, _key: string, { kind }: NewEvent) => void kinds.push(kind) };
	const look = watchSilence({ inventory, changes: new Changes(), now: () => clock.now }, alarms);

	clock.now += 9000;
	await look();
	host.silentSince = null;
	await look();
	expect(kinds).toEqual([]);
	host.silentSince = clock.now;
	clock.now += 10_000;
	await look();
	await look();
	expect(kinds).toEqual(["host.silent"]);
	host.silentSince = null;
	await look();
	await look();
	expect(kinds).toEqual(["host.silent", "host.heardAgain"]);
});
