import type { BackupReport, RecoveryPoint } from "@sterna/shared/backup";
import { asSternaError, type SternaError } from "@sterna/shared/errors";
import { type Phase, phases } from "./phases.ts";
import { committedPoint, hasBegun, isUndone, owesAbandon } from "./run-journal.ts";
import type { BackupRun, Happening } from "./run-state.ts";
import { abortError, pause } from "./run-waiting.ts";

/** Deadlines, in milliseconds. */
export const deadlines = {
	/** How long a run waits for a repository that is away; the guest does not notice. */
	repositoryAwayMs: 10 * 60_000,
	/** How long it is asked whether a point is there before the guest's changes count from its parent, which is never wrong. */
	doubtMs: 60_000,
	retryMs: 1_000,
	rareRetryMs: 300_000,
} as const;

/**
 * Saves one guest. Fulfilled with the last report: `completed` with the point, or `failed` and `cancelled` with the guest
 * and its chain as if nothing had been. The journal has the run's opening already. Rejected only when this agent ends first (`run.stop`): `settleRun` goes on then.
 */
export async function runBackup(run: BackupRun): Promise<BackupReport> {
	try {
		for (const phase of phases) {
			if (run.cancel.aborted && !committedPoint(run.journal)) throw abortError(run.cancel);
			if (phase.name === "releaseSnapshot") await goForward(run);
			else await perform(run, phase);
		}
		return await end(run, "completed");
	} catch (thrown) {
		if (run.stop.aborted) throw abortError(run.stop);
		return await settleRun(run, asSternaError(thrown));
	}
}

/**
 * After a failure, or a restart of the agent: the point is there, or it never will be. Before its commit began nobody has to
 * be asked; after that the repository says which. A repository that does not answer in time leaves the guest's chain at the
 * parent, which is right in both cases, and is told later that no point must come of the session.
 */
export async function settleRun(run: BackupRun, error: SternaError): Promise<BackupReport> {
	if (!committedPoint(run.journal) && hasBegun(run.journal, "commit")) {
		const point = await askForPoint(run);
		if (point) await noteFirmly(run, { type: "committed", point });
	}
	if (committedPoint(run.journal)) {
		await goForward(run);
		return end(run, "completed");
	}
	return unwind(run, error);
}

/**
 * Tells a repository that was out of reach that no point must come of a session, until it has heard. Call it in the
 * background when `owesAbandon(run.journal)`; harmless while it is owed: a collection frees what the session stored.
 */
export async function settleAbandon(run: BackupRun): Promise<void> {
	let delayMs: number = deadlines.retryMs;
	while (owesAbandon(run.journal) && !(await abandonOnce(run))) {
		if (run.stop.aborted) throw abortError(run.stop);
		await pause(run.ports.clock, delayMs, run.stop);
		delayMs = Math.min(2 * delayMs, deadlines.rareRetryMs);
	}
}

async function perform(run: BackupRun, phase: Phase): Promise<void> {
	await run.note({ type: "phaseBegan", phase: phase.name });
	await phase.do(run);
	await run.note({ type: "phaseDone", phase: phase.name });
}

/** After the commit point: whatever is left is tried until it is done. */
async function goForward(run: BackupRun): Promise<void> {
	const after = phases.slice(phases.findIndex(({ commits }) => commits) + 1);
	for (const phase of after) {
		if (!hasBegun(run.journal, phase.name)) await noteFirmly(run, { type: "phaseBegan", phase: phase.name });
		await untilDone(run, `${phase.name} failed and is tried again`, () => phase.do(run));
	}
}

/** Undoes the phases that began, in reverse: the guest first, a repository that cannot be reached later. */
async function unwind(run: BackupRun, error: SternaError): Promise<BackupReport> {
	if (!run.journal.some(({ type }) => type === "undoing")) {
		await noteFirmly(run, { type: "undoing", cancelled: error.code === "cancelled", error: error.toWire() });
	}
	for (const { name, undo } of phases.toReversed()) {
		if (!undo || !hasBegun(run.journal, name) || isUndone(run.journal, name)) continue;
		if (name === "openSession") await abandonOnce(run);
		else {
			await untilDone(run, `${name} could not be undone and is tried again`, () => undo(run));
			await noteFirmly(run, { type: "undone", phase: name });
		}
	}
	const undoing = run.journal.find((entry) => entry.type === "undoing");
	return end(run, undoing?.type === "undoing" && undoing.cancelled ? "cancelled" : "failed");
}

/** True when the repository knows that no point will come of the session. */
async function abandonOnce(run: BackupRun): Promise<boolean> {
	try {
		await run.ports.repository.abandon();
	} catch (thrown) {
		const { code, message } = asSternaError(thrown);
		// A repository that is no longer there, or whose key was replaced, takes no point any more either.
		if (code !== "not_found" && code !== "forbidden" && code !== "conflict") {
			run.remark(`the repository has not been told yet that no point comes of this run: ${message}`);
			return false;
		}
	}
	await noteFirmly(run, { type: "undone", phase: "openSession" });
	return true;
}

/** Whether the manifest got there; null also when that cannot be learnt in time. */
async function askForPoint(run: BackupRun): Promise<RecoveryPoint | null> {
	for (let waitedMs = 0; ; waitedMs += deadlines.retryMs) {
		try {
			const point = await run.ports.repository.abandon();
			if (!point) await noteFirmly(run, { type: "undone", phase: "openSession" });
			return point;
		} catch (thrown) {
			if (asSternaError(thrown).code !== "unavailable" || waitedMs >= deadlines.doubtMs) return null;
		}
		if (run.stop.aborted) throw abortError(run.stop);
		await pause(run.ports.clock, deadlines.retryMs, run.stop);
	}
}

async function end(run: BackupRun, state: "completed" | "failed" | "cancelled"): Promise<BackupReport> {
	await noteFirmly(run, { type: "ended", state });
	return run.report();
}

/** An entry without which it does not go on: the writing is tried again, not the entry. */
async function noteFirmly(run: BackupRun, happening: Happening): Promise<void> {
	await run.note(happening).catch(() => untilDone(run, "the journal could not be written", () => run.flush()));
}

/** Tries until it works or this agent ends. The first failure is told. */
async function untilDone(run: BackupRun, what: string, task: () => Promise<void>): Promise<void> {
	let told = false;
	for (;;) {
		try {
			return await task();
		} catch (thrown) {
			if (run.stop.aborted) throw abortError(run.stop);
			if (!told) run.remark(`${what}: ${asSternaError(thrown).message}`);
			told = true;
		}
		await pause(run.ports.clock, deadlines.retryMs, run.stop);
		if (run.stop.aborted) throw abortError(run.stop);
	}
}
