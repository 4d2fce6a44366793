import { GuestId, HostId, newId, PointId, RepositoryId } from "@sterna/shared/ids";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ActiveTask, admit, nextAttempt, type RunSituation, type WaitingRun } from "./admission.ts";

const minuteMs = 60_000;
const dueAt = 1_800_000_000_000;
const hosts = [newId(HostId), newId(HostId)];
const repositoryId = newId(RepositoryId);
const on = (host: number, obstacle: string | null = null): RunSituation => ({
	hostId: hosts[host] ?? newId(HostId),
	hostName: `host-${host}`,
	obstacle,
});

function run(change: Partial<WaitingRun> = {}): WaitingRun {
	return {
		...{ pointId: newId(PointId), guestId: newId(GuestId), repositoryId },
		...{ dueAt, notBefore: dueAt, windowEndsAt: dueAt + 60 * minuteMs, atOncePerHost: 2, atOncePerRepository: 3 },
		...change,
	};
}

const kinds = (answers: ReturnType<typeof admit>) => answers.map(({ kind }) => kind);

describe("whose turn it is", () => {
	test("as many begin on a host as the job allows; the others say whom they wait for", () => {
		const answers = admit([run(), run(), run()], [], () => on(0), dueAt);
		expect(kinds(answers)).toEqual(["start", "start", "wait"]);
		expect(answers[2]).toMatchObject({ because: "host-0 does 2 at once already" });
	});

	test("runs of other jobs count as well", () => {
		const busy: ActiveTask[] = [1, 2].map(() => ({
			guestId: newId(GuestId),
			hostId: on(0).hostId,
			repositoryId: newId(RepositoryId),
		}));
		expect(kinds(admit([run()], busy, () => on(0), dueAt))).toEqual(["wait"]);
	});

	test("a repository takes as many as the job allows, over all hosts", () => {
		const runs = [run(), run(), run(), run()];
		const answers = admit(runs, [], ({ guestId }) => on(runs.findIndex((one) => one.guestId === guestId) % 2), dueAt);
		expect(kinds(answers).filter((kind) => kind === "start")).toHaveLength(3);
		expect(answers.find(({ kind }) => kind === "wait")).toMatchObject({
			because: "the repository takes 3 at once already",
		});
	});

	test("two jobs on one guest take turns", () => {
		const guestId = newId(GuestId);
		const answers = admit(
			[run({ guestId }), run({ guestId, repositoryId: newId(RepositoryId) })],
			[],
			() => on(0),
			dueAt,
		);
		expect(kinds(answers)).toEqual(["start", "wait"]);
		expect(answers[1]).toMatchObject({ because: "another backup or restore of this guest is under way" });
	});

	test("what was due first begins first", () => {
		const [late, early] = [run({ dueAt: dueAt + minuteMs }), run()];
		const [first] = admit([late, early], [], () => on(0), dueAt + 2 * minuteMs);
		expect(first?.pointId).toBe(early.pointId);
	});

	test("one that cannot begin holds up nobody else", () => {
		const stuck = run();
		const answers = admit(
			[stuck, run({ dueAt: dueAt + 1 })],
			[],
			({ pointId }) => on(0, pointId === stuck.pointId ? "host-0 is offline" : null),
			dueAt + 1,
		);
		expect(kinds(answers)).toEqual(["wait", "start"]);
	});
});

describe("windows", () => {
	test("a run whose host is offline waits until its window ends, and is missed with that reason", () => {
		const offline = () => on(0, "host-0 is offline");
		expect(admit([run()], [], offline, dueAt + 60 * minuteMs)).toMatchObject([{ kind: "wait" }]);
		expect(admit([run()], [], offline, dueAt + 60 * minuteMs + 1)).toMatchObject([
			{ kind: "miss", because: "host-0 is offline" },
		]);
	});

	test("a guest that was deleted is missed at once", () => {
		expect(admit([run()], [], () => null, dueAt)).toMatchObject([
			{ kind: "miss", because: "the guest is not there any more" },
		]);
	});

	test("a retry waits for its time", () => {
		const retry = run({ notBefore: dueAt + 10 * minuteMs });
		expect(kinds(admit([retry], [], () => on(0), dueAt))).toEqual(["wait"]);
		expect(kinds(admit([retry], [], () => on(0), dueAt + 10 * minuteMs))).toEqual(["start"]);
	});

	test("a retry does not wait for a year because the clock was set back by one", () => {
		const yearMs = 365 * 24 * 60 * minuteMs;
		expect(kinds(admit([run()], [], () => on(0), dueAt - yearMs))).toEqual(["start"]);
	});
});

test("however many wait, limits hold and every guest has one task at most", () => {
	const guests = Array.from({ length: 6 }, () => newId(GuestId));
	const repositories = [newId(RepositoryId), newId(RepositoryId)];
	const pick = <Item>(items: readonly Item[], index: number): Item => items[index % items.length] as Item;
	const anyRun = fc.record({
		guest: fc.nat(5),
		repository: fc.nat(1),
		due: fc.nat(1000),
		perHost: fc.integer({ min: 1, max: 3 }),
		perRepository: fc.integer({ min: 1, max: 4 }),
		offline: fc.boolean(),
	});
	fc.assert(
		fc.property(fc.array(anyRun, { maxLength: 30 }), (asked) => {
			const runs = asked.map(({ guest, repository, due, perHost, perRepository }) =>
				run({
					guestId: pick(guests, guest),
					repositoryId: pick(repositories, repository),
					...{ dueAt: dueAt + due, atOncePerHost: perHost, atOncePerRepository: perRepository },
				}),
			);
			const hostOf = (guestId: GuestId) => guests.indexOf(guestId) % 2;
			const offline = new Set(runs.filter((_, index) => asked[index]?.offline).map(({ pointId }) => pointId));
			const answers = admit(
				runs,
				[],
				(one) => on(hostOf(one.guestId), offline.has(one.pointId) ? "offline" : null),
				dueAt + 1000,
			);
			expect(answers).toHaveLength(runs.length);
			const started = runs.filter(({ pointId }) =>
				answers.some((answer) => answer.pointId === pointId && answer.kind === "start"),
			);
			expect(new Set(started.map(({ guestId }) => guestId)).size).toBe(started.length);
			for (const one of started) {
				expect(offline).not.toContain(one.pointId);
				const loosest = Math.max(...started.map(({ atOncePerHost }) => atOncePerHost));
				expect(started.filter(({ guestId }) => hostOf(guestId) === hostOf(one.guestId)).length).toBeLessThanOrEqual(
					loosest,
				);
			}
			// Nobody who could begin is left waiting for nothing.
			if (runs.length > offline.size) expect(started.length).toBeGreaterThan(0);
		}),
		{ numRuns: 200 },
	);
});

describe("after an attempt that failed", () => {
	const ended = { attempt: 1, windowEndsAt: dueAt + 60 * minuteMs, cancelledByPerson: false, gaveWay: false };
	const rule = { retries: 2, retryAfterMs: 10 * minuteMs };

	test("it is tried again after the job's pause, as often as the job says", () => {
		expect(nextAttempt(ended, rule, dueAt)).toEqual({ notBefore: dueAt + 10 * minuteMs, attempt: 2 });
		expect(nextAttempt({ ...ended, attempt: 3 }, rule, dueAt)).toMatchObject({ because: "it was tried 3 times" });
	});

	test("not once its window is over", () => {
		expect(nextAttempt(ended, rule, dueAt + 51 * minuteMs)).toMatchObject({ because: "its window is over" });
	});

	test("not when a person cancelled it", () => {
		expect(nextAttempt({ ...ended, cancelledByPerson: true }, rule, dueAt)).toMatchObject({ notBefore: null });
	});

	test("at once, and not counted, when the guest moved to another host", () => {
		expect(nextAttempt({ ...ended, attempt: 3, gaveWay: true }, rule, dueAt)).toEqual({ notBefore: dueAt, attempt: 3 });
	});
});
