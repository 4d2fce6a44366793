import type { HostId } from "@sterna/shared/ids";
import { beforeEach, expect, test } from "vitest";
import { type EvacuationEntry, type HostEntry, Inventory } from "../inventory/inventory.ts";
import { guestEntry, hostEntry } from "../testing/inventory-facts.ts";
import { EvacuationRetries } from "./retries.ts";

let inventory: Inventory;
let left: HostEntry;
let other: HostEntry;
let now: number;
let begun: { hostId: HostId; reason: string }[];
let retries: EvacuationRetries;
/** What happens while the database is asked. */
let meanwhile: () => void;

/** One guest is left on a host in maintenance, whose evacuation ended a minute ago; the only other host is away. */
beforeEach(() => {
	inventory = new Inventory();
	now = 1_800_000_000_000;
	begun = [];
	meanwhile = () => {};
	left = hostEntry("left", { mode: "maintenance" });
	other = hostEntry("other", { connected: false, silentSince: now - 60_000 });
	for (const host of [left, other]) inventory.hosts.set(host.id, host);
	const guest = guestEntry("web", left);
	inventory.guests.set(guest.id, guest);
	const endedAt = now - 60_000;
	retries = new EvacuationRetries({
		core: { inventory, now: () => now },
		incompleteOf: async (hostId) => {
			meanwhile();
			return hostId === left.id ? { endedAt, tries: 1 } : null;
		},
		begin: async (request) => {
			begun.push(request);
			left.mode = "evacuating";
		},
	});
});

async function seconds(count: number): Promise<void> {
	for (let second = 0; second < count; second++) {
		await retries.tick();
		now += 1000;
	}
}

const comeBack = () => Object.assign(other, { connected: true, silentSince: null });

test("a guest that could not leave is tried again, once, when the host that can take it is back for a while", async () => {
	await seconds(120);
	expect(begun).toEqual([]);
	comeBack();
	await seconds(10);
	expect(begun).toEqual([]);
	await seconds(120);
	expect(begun).toEqual([
		{ hostId: left.id, reason: "tried again: web can leave now", requestedBy: "evacuation retry" },
	]);
});

test("a host that comes and goes makes nothing begin", async () => {
	for (let times = 0; times < 10; times++) {
		comeBack();
		await seconds(10);
		Object.assign(other, { connected: false, silentSince: now - 60_000 });
		await seconds(10);
	}
	expect(begun).toEqual([]);
});

test.each<[string, Partial<HostEntry>]>([
	["is in service again", { mode: "normal" }],
	["was revoked", { revokedAt: 1 }],
	["is not heard", { connected: false }],
])("nothing begins when the host %s", async (_, patch) => {
	Object.assign(left, patch);
	comeBack();
	await seconds(120);
	expect(begun).toEqual([]);
});

test("one host after the other is tried again", async () => {
	comeBack();
	inventory.evacuations.set(
		"e" as EvacuationEntry["id"],
		{ hostId: other.id, requestedBy: "evacuation retry" } as EvacuationEntry,
	);
	await seconds(120);
	expect(begun).toEqual([]);
	inventory.evacuations.clear();
	await seconds(1);
	expect(begun).toHaveLength(1);
});

test("a host that was lost in the middle of its own retry holds up no other host", async () => {
	comeBack();
	const lost = hostEntry("lost", { mode: "evacuating", connected: false, silentSince: now });
	inventory.hosts.set(lost.id, lost);
	inventory.evacuations.set(
		"e" as EvacuationEntry["id"],
		{ hostId: lost.id, requestedBy: "evacuation retry" } as EvacuationEntry,
	);
	await seconds(120);
	expect(begun).toHaveLength(1);
});

test("a host that a person puts back into service at the last moment is not emptied", async () => {
	comeBack();
	const dueAt = now + 15_000;
	meanwhile = () => {
		if (now >= dueAt) left.mode = "normal";
	};
	await seconds(120);
	expect(begun).toEqual([]);
});
