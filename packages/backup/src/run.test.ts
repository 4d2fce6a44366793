import { BackupOptions, type BackupReport, endedTaskStates, RecoveryPoint } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { describe, expect, test } from "vitest";
import { runBackup, settleAbandon, settleRun } from "./run.ts";
import { owesAbandon, RunEntry, type RunFacts } from "./run-journal.ts";
import type { BackupPorts } from "./run-ports.ts";
import { BackupRun } from "./run-state.ts";
import { patiently } from "./run-waiting.ts";

const volumeId = newId(VolumeId);
const parentPointId = newId(PointId);
const spec = GuestSpec.parse({
	id: newId(GuestId),
	name: "db",
	vcpus: 1,
	memoryBytes: 64 * MiB,
	boot: { from: "disk" },
	volumes: [{ id: volumeId, pool: "local", sizeBytes: 64 * MiB }],
	nics: [],
});
const facts: RunFacts = {
	pointId: newId(PointId),
	guestId: spec.id,
	repositoryId: newId(RepositoryId),
	hostId: newId(HostId),
	spec,
	options: BackupOptions.parse({}),
	startedAt: 1,
};

/** A guest with one chain and a repository, as they are whatever becomes of the agent that works with them. */
class World {
	/** What the guest's changes count from. */
	since: "parent" | "point" | "both" = "parent";
	isSnapshotOpen = false;
	isSnapshotWhole = true;
	session: "none" | "open" | "abandoned" = "none";
	point: RecoveryPoint | null = null;
	journal: RunEntry[] = [];
	repositoryIsAway = false;
	reports: BackupReport[] = [];
	calls: string[] = [];
	/** Asked before and after each call has its effect. */
	onCall: (call: string, when: "before" | "after") => Promise<void> | void = () => {};
	now = 0;

	start(cancel = new AbortController(), stop = new AbortController()): BackupRun {
		const run = new BackupRun({
			facts,
			ports: this.#ports(stop.signal),
			cancel: cancel.signal,
			stop: stop.signal,
			journal: this.journal.map((entry) => RunEntry.parse(JSON.parse(JSON.stringify(entry)))),
		});
		return run;
	}

	#ports(stop: AbortSignal): BackupPorts {
		const call = async <Result>(name: string, effect: () => Result): Promise<Result> => {
			if (stop.aborted) return new Promise<never>(() => {});
			this.calls.push(name);
			if (name.startsWith("repository") && this.repositoryIsAway) throw new SternaError("unavailable", "no such place");
			await this.onCall(name, "before");
			const result = effect();
			await this.onCall(name, "after");
			return result;
		};
		const planned = {
			volumeId,
			sizeBytes: 64 * MiB,
			read: "changes" as const,
			reason: "unchangedChain" as const,
			readBytes: MiB,
			since: "st-parent",
			inherit: true,
			stale: ["st-gone"],
		};
		return {
			guest: {
				takeSnapshot: () =>
					call("guest.takeSnapshot", () => {
						if (this.isSnapshotOpen) throw new SternaError("conflict", "a snapshot is open");
						this.isSnapshotOpen = true;
						this.since = "both";
						const volumes = [{ volumeId, sizeBytes: 64 * MiB, changes: "st-parent" }];
						return {
							takenAt: 5,
							consistency: "application" as const,
							remark: null,
							frozenMs: 3,
							socket: "/s",
							volumes,
						};
					}),
				isSnapshotWhole: () => call("guest.isSnapshotWhole", () => this.isSnapshotWhole),
				endSnapshot: (_volumes, outcome) =>
					call("guest.endSnapshot", () => {
						this.isSnapshotOpen = false;
						this.since = outcome === "committed" ? "point" : "parent";
					}),
			},
			repository: {
				plan: () => call("repository.plan", () => ({ parentPointId, volumes: [planned] })),
				openSession: () =>
					call("repository.openSession", () => {
						this.session = "open";
					}),
				copyBlocks: ({ onProgress }) =>
					call("repository.copyBlocks", () => onProgress({ readBytes: MiB, storedBytes: 1000, slowedBy: null })),
				commit: (point) =>
					call("repository.commit", () => {
						if (this.session === "abandoned") throw new SternaError("conflict", "the session was abandoned");
						this.point = pointOf(point);
						return this.point;
					}),
				abandon: () =>
					call("repository.abandon", () => {
						if (!this.point) this.session = "abandoned";
						return this.point;
					}),
				close: async () => {},
			},
			journal: {
				append: (entries) =>
					call("journal.append", () => {
						this.journal.push(...entries);
					}),
			},
			clock: {
				now: () => this.now,
				after: (delayMs, action) => {
					const timer = setImmediate(() => {
						this.now += delayMs;
						action();
					});
					return () => clearImmediate(timer);
				},
			},
			publish: (report) => this.reports.push(report),
		};
	}

	/** The whole promise: the point and the chain agree, and nothing is left open. */
	expectSettled(report: BackupReport): void {
		expect(endedTaskStates).toContain(report.state);
		expect(this.isSnapshotOpen).toBe(false);
		if (report.state === "completed") {
			expect(this).toMatchObject({ since: "point", point: { pointId: facts.pointId } });
			expect(report).toMatchObject({ error: null, point: { pointId: facts.pointId } });
		} else {
			expect(this).toMatchObject({ since: "parent", point: null });
			expect(report.point).toBeNull();
			expect(report.error).not.toBeNull();
		}
	}
}

function pointOf(point: Parameters<BackupPorts["repository"]["commit"]>[0]): RecoveryPoint {
	const volume = { volumeId, sizeBytes: 64 * MiB, readBytes: MiB, storedBytes: 1000, changedBytes: MiB };
	const volumes = [{ ...volume, read: "changes" as const, reason: "unchangedChain" as const }];
	return RecoveryPoint.parse({ ...point, repositoryId: facts.repositoryId, volumes });
}

async function run(world: World, cancel?: AbortController): Promise<BackupReport> {
	const started = world.start(cancel);
	await started.note({ type: "opened", run: facts });
	return runBackup(started);
}

const calls = [
	"repository.plan",
	"repository.openSession",
	"guest.takeSnapshot",
	"repository.copyBlocks",
	"guest.isSnapshotWhole",
	"repository.commit",
	"guest.endSnapshot",
] as const;

test("a run opens its session, takes the instant, copies, commits, and only then lets the changes count from it", async () => {
	const world = new World();
	const report = await run(world);
	world.expectSettled(report);
	expect(report).toMatchObject({ state: "completed", readBytes: MiB, storedBytes: 1000, frozenMs: 3 });
	expect(world.calls.filter((call) => call !== "journal.append")).toEqual(calls);
	const generations = world.reports.map(({ generation }) => generation);
	expect(generations).toEqual(generations.toSorted((a, b) => a - b));
});

test("an instant that broke while it was copied is never committed", async () => {
	const world = new World();
	world.isSnapshotWhole = false;
	const report = await run(world);
	world.expectSettled(report);
	expect(report).toMatchObject({ state: "failed", error: { code: "unavailable" } });
	expect(world.calls).not.toContain("repository.commit");
});

describe.each(calls)("at %s", (point) => {
	test.each(["before", "after"] as const)("a failure %s its effect leaves point and chain agreeing", async (place) => {
		const world = new World();
		let failed = false;
		world.onCall = (call, when) => {
			if (failed || call !== point || when !== place) return;
			failed = true;
			throw new SternaError("no_capacity", "the place is full");
		};
		const report = await run(world);
		expect(failed).toBe(true);
		world.expectSettled(report);
	});

	test.each(["before", "after"] as const)(
		"a cancellation %s its effect is undone, unless the point is there",
		async (place) => {
			const world = new World();
			const cancel = new AbortController();
			world.onCall = (call, when) => {
				if (call !== point || when !== place || cancel.signal.aborted) return;
				cancel.abort(new SternaError("cancelled", "the backup was cancelled"));
				if (place === "before" && call !== "guest.endSnapshot") throw cancel.signal.reason;
			};
			const report = await run(world, cancel);
			world.expectSettled(report);
			expect(report.state).toBe(world.point ? "completed" : "cancelled");
		},
	);

	test.each(["before", "after"] as const)(
		"an agent that dies %s its effect is settled by its next life",
		async (place) => {
			const world = new World();
			const stop = new AbortController();
			const died = Promise.withResolvers<void>();
			world.onCall = (call, when) => {
				if (call !== point || when !== place || stop.signal.aborted) return;
				stop.abort();
				died.resolve();
				return new Promise<never>(() => {});
			};
			const first = world.start(undefined, stop);
			await first.note({ type: "opened", run: facts });
			void runBackup(first).catch(() => {});
			await died.promise;
			const report = await settleRun(world.start(), new SternaError("unavailable", "the agent was started again"));
			world.expectSettled(report);
		},
	);

	test("a repository that goes away there for good fails the run, keeps the chain, and is told when it is back", async () => {
		const world = new World();
		world.onCall = (call, when) => {
			if (call === point && when === "before") world.repositoryIsAway = true;
			if (world.repositoryIsAway && call === point && call.startsWith("repository")) {
				throw new SternaError("unavailable", "it went away");
			}
		};
		const started = world.start();
		await started.note({ type: "opened", run: facts });
		const report = await runBackup(started);
		world.expectSettled(report);
		if (report.state === "completed") return;
		world.onCall = () => {};
		world.repositoryIsAway = false;
		await settleAbandon(started);
		expect(owesAbandon(started.journal)).toBe(false);
		expect(world.session).not.toBe("open");
	});
});

test("a commit whose answer was lost with the repository leaves the chain at the parent, which is right in both cases", async () => {
	const world = new World();
	world.onCall = (call, when) => {
		if (call !== "repository.commit" || when !== "after") return;
		world.repositoryIsAway = true;
		throw new SternaError("unavailable", "the answer was lost");
	};
	const report = await run(world);
	expect(report.state).toBe("failed");
	expect(world).toMatchObject({ since: "parent", isSnapshotOpen: false });
});

test("what is away for a while is waited for, with a word when it goes and when it comes back", async () => {
	const said: (string | null)[] = [];
	let tries = 0;
	const world = new World();
	const { clock } = world.start().ports;
	const patience = {
		clock,
		forMs: 60_000,
		signal: new AbortController().signal,
		onWaiting: (it: string | null) => said.push(it),
	};
	const answer = await patiently(patience, "the repository", async () => {
		tries += 1;
		if (tries < 4) throw new SternaError("unavailable", "not mounted");
		return "there";
	});
	expect(answer).toBe("there");
	expect(said.at(-1)).toBeNull();
	expect(said[0]).toBe("the repository does not answer: not mounted");
	tries = Number.NEGATIVE_INFINITY;
	await expect(
		patiently(patience, "the repository", async () => {
			throw new SternaError("unavailable", "not mounted");
		}),
	).rejects.toMatchObject({ code: "unavailable", message: expect.stringContaining("was away for") });
	await expect(
		patiently(patience, "the repository", async () => {
			throw new SternaError("no_capacity", "full");
		}),
	).rejects.toMatchObject({ code: "no_capacity" });
});
