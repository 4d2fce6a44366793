import { MigrationReport } from "@sterna/shared/migration";
import { describe, expect, it } from "vitest";
import { faultPoints } from "./fault-points.ts";
import { owesDiscard } from "./journal.ts";
import { phases } from "./phases.ts";
import { tell } from "./progress.ts";
import { resumeMigration } from "./resume.ts";
import { runMigration, settleDiscard } from "./run.ts";
import { type Fault, type FaultKind, facts, TwoHosts } from "./testing/two-hosts.ts";

/** Lives of the source's agent until the move has ended, then the discard that may be owed. */
async function move(fault: Fault | null) {
	const hosts = new TwoHosts(fault);
	// A move that could not be opened is refused to whoever asked for it; that is no result.
	let report = await hosts.live((m) =>
		runMigration(m).catch((thrown) => (fault && fault.at <= 1 ? null : Promise.reject(thrown))),
	);
	for (let lives = 1; report === null && lives < 5; lives++) {
		if (hosts.journal.length === 0) break;
		report = await hosts.live(resumeMigration);
	}
	while (owesDiscard(hosts.journal)) await hosts.live(settleDiscard);
	return { hosts, report };
}

/** The guest runs exactly once, both records and the report say where, and nothing is left over on the other side. */
function expectSettled({ hosts, report }: Awaited<ReturnType<typeof move>>) {
	const { source, target } = hosts;
	if (source.record.role === "owner") {
		expect(source.record).toMatchObject({ epoch: 1, outgoing: null });
		expect(source).toMatchObject({ process: "running", disk: true, streams: false });
		expect(target.process).toBe("absent");
		expect(target.record?.role ?? "none").toBe("none");
		expect(target.disk).toBe(false);
		if (report) expect(["failed", "cancelled"]).toContain(report.state);
	} else {
		expect(source).toMatchObject({
			record: { role: "none", highestEpoch: 2 },
			process: "absent",
			disk: false,
			streams: false,
		});
		expect(target).toMatchObject({ record: { role: "owner", epoch: 2 }, process: "running", disk: true });
		expect(report?.state).toBe("completed");
	}
}

describe("a move without faults", () => {
	it("goes through its phases, and the guest pauses once", async () => {
		const { hosts, report } = await move(null);
		expectSettled({ hosts, report });
		expect(hosts.executions).toEqual([
			"target loading",
			"source paused",
			"source handedOver",
			"target loaded",
			"target running",
			"source absent",
		]);
		expect(hosts.journal.map(tell)).toEqual([
			"web is to move to tern under epoch 2",
			"preparing the target",
			"the target is ready; 1 disk to copy",
			"the target is prepared",
			"copying the disks",
			"the disks are in sync",
			"copying memory",
			"the guest is paused",
			"memory copied, but for the last changes",
			"sending the last changes",
			"the target has everything",
			"handing the guest over",
			"the guest runs on the target",
			"the guest is handed over",
			"removing the guest from its old host",
			"the guest is removed from its old host",
			"completed",
		]);
	});

	it("writes nothing durable in the pause but the record", async () => {
		const { hosts } = await move(null);
		const pause = hosts.calls.slice(hosts.calls.indexOf("source.copyMemory") + 1, hosts.calls.indexOf("target.run"));
		expect(pause).toEqual(["source.switchOver", "target.renew", "records.update", "source.processState"]);
	});

	it("reports the pause that it measured and every phase with its times", async () => {
		const { report } = await move(null);
		expect(report?.measuredDowntimeMs).not.toBeNull();
		expect(report?.phases.map((phase) => phase.phase)).toEqual(phases.map((phase) => phase.name));
		expect(report?.phases.every((phase) => phase.endedAt !== null)).toBe(true);
		expect(report).toMatchObject({ state: "completed", error: null });
	});

	it("has nothing left of memory to send when it has switched over, and still says how much it sent", async () => {
		const { hosts, report } = await move(null);
		expect(report?.memory).toMatchObject({ remainingBytes: 0, transferredBytes: 200 });
		const left = hosts.reports.map(({ memory }) => memory?.remainingBytes ?? null);
		expect([...new Set(left)]).toEqual([null, 80, 5, 0]);
	});

	it("makes every call that the list of fault points names", async () => {
		const { hosts } = await move(null);
		expect(faultPoints.filter(({ call }) => !hosts.calls.includes(call))).toEqual([]);
	});
});

describe("a move with one fault", async () => {
	const { hosts } = await move(null);
	const kinds: FaultKind[] = [
		"failBefore",
		"failAfter",
		"sourceCrashes",
		"sourceCrashesAfter",
		"targetCrashes",
		"heldProcessDies",
		"targetAway",
	];
	const points = hosts.calls.map((call, at) => ({ call: `${at} ${call}`, at }));

	describe.each(kinds)("%s", (kind) => {
		it.each(points)("at call $call leaves the guest running once, where everybody says", async ({ at }) => {
			const outcome = await move({ at, kind });
			if (outcome.hosts.journal.length > 0) return expectSettled(outcome);
			expect(outcome.hosts.executions, "nothing was begun").toEqual([]);
		});
	});

	it("does not lose the answer of a hand-over: the target is asked again and runs the guest once", async () => {
		const at = hosts.calls.indexOf("target.run");
		const outcome = await move({ at, kind: "failAfter" });
		expect(outcome.report?.state).toBe("completed");
		expect(outcome.hosts.executions.filter((text) => text === "target running")).toHaveLength(1);
	});

	it("starts the guest from its disks when the loaded process dies at the hand-over, and says so", async () => {
		const outcome = await move({ at: hosts.calls.indexOf("target.run"), kind: "heldProcessDies" });
		expect(outcome.report?.journal.map((entry) => entry.text)).toContain(
			"the guest was started from its disks on the target: its memory was lost",
		);
	});

	it("says why in the journal when the source's agent died before the hand-over", async () => {
		const outcome = await move({ at: hosts.calls.indexOf("source.switchOver"), kind: "sourceCrashes" });
		expect(outcome.report?.state).toBe("failed");
		expect(outcome.report?.journal.map((entry) => entry.text)).toContain(
			"undoing: the agent of the source ended during the migration",
		);
	});
});

describe("a move whose target falls silent", async () => {
	const { hosts } = await move(null);
	const at = (call: string) => hosts.calls.indexOf(call);

	it("is in doubt after the hand-over: the guest waits, and the target is asked until it answers", async () => {
		const outcome = await move({ at: at("target.run"), kind: "targetAway" });
		expectSettled(outcome);
		expect(outcome.report?.state).toBe("completed");
		expect(outcome.hosts.reports.map((report) => report.state)).toContain("inDoubt");
		expect(outcome.report?.measuredDowntimeMs).toBeGreaterThanOrEqual(60_000);
		expect(outcome.hosts.executions).not.toContain("source running");
	});

	it("runs on on its source at once before the hand-over; the discard is owed and told later", async () => {
		const outcome = await move({ at: at("source.copyMemory"), kind: "targetAway" });
		expectSettled(outcome);
		expect(outcome.report?.state).toBe("failed");
		expect(outcome.hosts.executions.slice(0, 5)).toEqual([
			"target loading",
			"source paused",
			"source handedOver",
			"target loaded",
			"source running",
		]);
	});

	it("is asked to discard ever more rarely, and the journal tells of the first try and of the last", async () => {
		const outcome = await move({ at: at("source.copyMemory"), kind: "targetAway", awayMs: 30 * 60_000 });
		expectSettled(outcome);
		const told = outcome.hosts.journal.map(tell);
		expect(told.filter((text) => text.includes("has not confirmed the discard"))).toHaveLength(1);
		expect(told.at(-1)).toBe("the target has discarded what it had");
		const asked = outcome.hosts.calls.filter((call) => call === "target.discard").length;
		expect(asked).toBeGreaterThan(8);
		expect(asked).toBeLessThan(20);
	});

	it("has nothing of the move left seconds after it is back: what it holds is other guests' place", async () => {
		const outcome = await move({ at: at("source.copyMemory"), kind: "targetAway", awayMs: 5_000 });
		expectSettled(outcome);
		expect(outcome.hosts.clock.now() - facts.startedAt).toBeLessThan(10_000);
	});

	it.each(["source.copyDisks", "source.copyMemory", "source.switchOver"])(
		"is given up when %s makes no progress, with a sentence that names it",
		async (call) => {
			const outcome = await move({ at: at(call), kind: "hangs" });
			expectSettled(outcome);
			expect(outcome.report).toMatchObject({ state: "failed", error: { code: "timeout" } });
		},
	);

	it.each(["source.switchOver", "target.renew"])(
		"runs on within six seconds of its pause when the link dies at %s",
		async (call) => {
			const outcome = await move({ at: at(call), kind: "linkDead" });
			expectSettled(outcome);
			const { executions, sourceChangedAt } = outcome.hosts;
			expect(executions.filter((text) => text.startsWith("source")).at(-1)).toBe("source running");
			expect((sourceChangedAt.at(-1) ?? 0) - (sourceChangedAt[0] ?? 0)).toBeLessThanOrEqual(6000);
		},
	);
});

describe("a move whose streams cannot be closed when it is undone", async () => {
	const { hosts } = await move(null);
	const switchOver = hosts.calls.indexOf("source.switchOver");

	it.each(["fail", "hang"] as const)("still lets its guest run on at once when they %s", async (trouble) => {
		const stuck = new TwoHosts({ at: switchOver, kind: "failAfter" });
		stuck.streamsStuck = trouble;
		const end = stuck.clock.after(60_000, () => {
			stuck.streamsStuck = null;
		});
		const report = await stuck.live(runMigration);
		end();
		expectSettled({ hosts: stuck, report });
		expect(stuck.executions.filter((text) => text.startsWith("source")).at(-1)).toBe("source running");
		expect((stuck.sourceChangedAt.at(-1) ?? 0) - (stuck.sourceChangedAt[0] ?? 0)).toBeLessThanOrEqual(2000);
	});
});

describe("the reports of a move", () => {
	it.each<FaultKind>(["failAfter", "sourceCrashesAfter", "targetAway"])(
		"have rising generations, also after %s",
		async (kind) => {
			const golden = await move(null);
			const { hosts } = await move({ at: golden.hosts.calls.indexOf("target.run"), kind });
			const generations = hosts.reports.map((report) => report.generation);
			expect(generations).toEqual([...generations].sort((a, b) => a - b));
			expect(hosts.reports.map((report) => MigrationReport.parse(report))).toEqual(hosts.reports);
		},
	);
});

describe("a move that is cancelled", async () => {
	const { hosts } = await move(null);
	const commit = hosts.calls.indexOf("target.run");

	it.each(hosts.calls.map((call, at) => ({ call: `${at} ${call}`, at })))(
		"at call $call runs on on the source, or on the target when it was handed over",
		async ({ at }) => {
			const outcome = await move({ at, kind: "cancel" });
			expectSettled(outcome);
			expect(outcome.report?.state).toBe(at >= commit - 2 ? "completed" : "cancelled");
		},
	);
});
