import type { Finding } from "@sterna/shared/health";
import { expect, test } from "vitest";
import { headlineOf, type Situation } from "./headline.ts";

const finding: Finding = {
	key: "memory/mc0.dimm1/uncorrectedErrors",
	sensor: "memory",
	component: "DIMM_B1",
	signal: "uncorrectedErrors",
	severity: "failing",
	value: 2,
	threshold: 1,
	unit: "errors",
	windowMs: 0,
	rule: "any uncorrected memory error",
	firstSeenAt: 0,
	lastSeenAt: 0,
	raw: "",
	relevant: true,
};

type Host = Situation["hosts"][number];
const host = (name: string, change: Partial<Host> = {}): Host => ({
	id: name,
	name,
	health: "healthy",
	connection: "online",
	mode: "normal",
	quarantined: false,
	worst: null,
	action: null,
	guestsRunning: 1,
	...change,
});
const ill = (name: string, change: Partial<Host> = {}) => host(name, { health: "failing", worst: finding, ...change });
const evacuation = {
	id: "e1",
	hostName: "rack1-02",
	moved: 3,
	total: 4,
	blocked: 0,
	remainingMs: 12_000,
	startedAt: 0,
	running: true,
};
const situation = (change: Partial<Situation>): Situation => ({
	now: 0,
	hosts: [host("rack1-01"), host("rack1-02"), host("rack1-03")],
	evacuation: null,
	guests: { running: 4, total: 4, unknown: 0, crashed: [] },
	migrationsRunning: 0,
	backups: { damaged: [], behind: [] },
	...change,
});

test.each<[string, Partial<Situation>, string, string]>([
	["all is well", {}, "calm", "Nothing is wrong: 3 hosts, all 4 guests run."],
	["nothing is there", { hosts: [] }, "calm", "No server has joined yet."],
	[
		"a guest moves",
		{ migrationsRunning: 1 },
		"calm",
		"Nothing is wrong: 3 hosts, all 4 guests run. 1 guest is moving.",
	],
	[
		"a repository is damaged",
		{ backups: { damaged: [{ id: "r", name: "main" }], behind: ["web-1"] } },
		"failing",
		"The repository main is damaged.",
	],
	["a backup is late", { backups: { damaged: [], behind: ["web-1"] } }, "degraded", "The backup of web-1 is late."],
	["maintenance", { evacuation }, "calm", "Nothing is wrong. rack1-02 is being emptied: 3 of 4."],
	[
		"the main job",
		{ hosts: [host("a"), ill("rack1-02")], evacuation },
		"failing",
		"One host is failing. 3 of its 4 guests have left; the last leaves in about 12 s.",
	],
	[
		"the main job begins",
		{ hosts: [ill("a")], evacuation: { ...evacuation, moved: 0, remainingMs: null } },
		"failing",
		"One host is failing. Its 4 guests are leaving.",
	],
	[
		"the main job is done",
		{ hosts: [ill("a")], evacuation: { ...evacuation, moved: 4, running: false } },
		"failing",
		"One host is failing. All 4 guests left it without a restart.",
	],
	[
		"some cannot leave",
		{ hosts: [ill("a")], evacuation: { ...evacuation, blocked: 1, running: false } },
		"failing",
		"One host is failing. 3 of its 4 guests left; 1 could not.",
	],
	[
		"failing, guarded",
		{ hosts: [ill("a", { action: "alert only: …" })] },
		"failing",
		"One host is failing. 1 guest still runs there.",
	],
	[
		"two failing",
		{ hosts: [ill("a"), ill("b", { guestsRunning: 2 })] },
		"failing",
		"2 hosts are failing. 3 guests still run there.",
	],
	[
		"lost",
		{ hosts: [host("a", { connection: "offline" })], guests: { running: 1, total: 3, unknown: 2, crashed: [] } },
		"degraded",
		"a is not heard. What the 2 guests there do is not known.",
	],
	[
		"a copied identity is worse than a lost host",
		{ hosts: [host("a", { connection: "offline" }), host("b", { quarantined: true })] },
		"failing",
		"b is kept out: two servers use its identity.",
	],
	["crashed", { guests: { running: 3, total: 4, unknown: 0, crashed: ["web-1"] } }, "degraded", "web-1 has crashed."],
	[
		"degraded",
		{ hosts: [host("a", { health: "degraded", worst: finding })] },
		"degraded",
		"a is degraded and takes no new guests.",
	],
	[
		"watched",
		{ hosts: [host("a", { health: "watch", worst: finding })] },
		"watch",
		"Nothing is wrong. a is being watched.",
	],
])("%s", (_, change, tone, sentence) => {
	const headline = headlineOf(situation(change));
	expect([headline.tone, headline.sentence]).toEqual([tone, sentence]);
});
