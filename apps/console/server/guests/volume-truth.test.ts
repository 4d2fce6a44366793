import { HostId, MigrationId, newId, VolumeId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { describe, expect, test } from "vitest";
import type { GuestEntry, HostEntry } from "../inventory/inventory.ts";
import { guestEntry, hostEntry } from "../testing/inventory-facts.ts";
import { isDoubtful, volumeNews } from "./volume-truth.ts";

const names = { guest: "web", host: "gull" };
const system = { id: newId(VolumeId), pool: "local", sizeBytes: 10 * GiB };
const asked = { id: newId(VolumeId), pool: "fast", sizeBytes: 4 * GiB };

test("disks that are as listed are no news", () => {
	expect(volumeNews(names, [system, asked], [system, asked])).toEqual([]);
});

test.each([
	[
		"asked for and never made",
		[system],
		"web has no disk of 4.0 GiB in pool fast: it was asked for, and gull has not made it",
	],
	[
		"moved while nobody listened",
		[system, { ...asked, pool: "local" }],
		"a disk of web is in pool local now, not in fast",
	],
	["grown while nobody listened", [system, { ...asked, sizeBytes: 8 * GiB }], "a disk of web has 8.0 GiB, not 4.0 GiB"],
])("a disk that was %s is told as that", (_, held, sentence) => {
	expect(volumeNews(names, [system, asked], held)).toEqual([sentence]);
});

test("a disk that nobody knew of is told", () => {
	expect(volumeNews(names, [system], [system, asked])).toEqual([
		"web has a disk of 4.0 GiB in pool fast, by the word of gull",
	]);
});

describe("a host that tells of other disks than are listed", () => {
	const host = hostEntry("gull");
	const guest = guestEntry("web", host);
	const report = guest.reports.get(host.id);
	if (!report) throw new Error("the guest is not reported");
	const telling = (change: Partial<typeof report>): GuestEntry => ({
		...guest,
		reports: new Map([[host.id, { ...report, volumes: [asked], ...change }]]),
	});
	const permit = {
		...{ migrationId: newId(MigrationId), epoch: 2, sourceHostId: host.id, targetHostId: newId(HostId) },
		expiresAt: 0,
	};

	test("is asked what the guest has", () => {
		expect(isDoubtful(telling({}), host)).toBe(true);
	});

	test.each<[string, GuestEntry, HostEntry]>([
		["is an agent of before, which says nothing", telling({ volumes: undefined }), host],
		["does not own the guest", telling({ role: "released" }), host],
		["speaks of an older grant", telling({ epoch: 0 }), host],
		["is out of reach", telling({}), { ...host, connected: false }],
		["is giving the guest away", { ...telling({}), grant: { ...guest.grant, permit } }, host],
		["is restoring the guest", { ...telling({}), existence: "restoring" }, host],
	])("is not asked when it %s", (_, told, by) => {
		expect(isDoubtful(told, by)).toBe(false);
	});
});
