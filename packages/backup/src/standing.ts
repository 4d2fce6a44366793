import { formatDuration } from "@sterna/shared/units";

/** What is known of one guest's protection. */
export interface ProtectionFacts {
	/** Of the enabled jobs that take the guest, the shortest time after which it counts as late; null: no job takes it. */
	alertAfterMs: number | null;
	/** When the newest whole point was taken; null without one. */
	newestWholeAt: number | null;
	/** Whether a newer point than that is damaged, or all there are. */
	newestIsDamaged: boolean;
	/** From when on a first backup was to be expected: the guest's or the job's making, whichever came later. */
	expectedSince: number;
	/** Runs that failed or were missed since the newest whole point, and what the last one said. */
	failures: number;
	lastFailure: string | null;
}

export interface ProtectionStanding {
	state: "protected" | "late" | "unprotected" | "failing" | "damaged";
	sentence: string;
	recoveryPointAgeMs: number | null;
}

/** A point from further ahead came from a wrong clock and says nothing about its age. */
const futureSlackMs = 24 * 3_600_000;

/**
 * How a guest is protected at `now`: what would be lost, not what the schedule promises. The worst is said: damaged, late,
 * failing, unprotected.
 */
export function standingOf(facts: ProtectionFacts, now: number): ProtectionStanding {
	const { newestWholeAt, alertAfterMs, failures, lastFailure } = facts;
	const known = newestWholeAt !== null && newestWholeAt <= now + futureSlackMs ? newestWholeAt : null;
	const recoveryPointAgeMs = known === null ? null : Math.max(0, now - known);
	const newest =
		recoveryPointAgeMs === null
			? "it has no whole backup"
			: `its newest whole backup is ${formatDuration(recoveryPointAgeMs)} old`;
	const say = (state: ProtectionStanding["state"], sentence: string) => ({ state, sentence, recoveryPointAgeMs });
	const why = lastFailure ? `: ${lastFailure}` : "";
	if (facts.newestIsDamaged) return say("damaged", `its newest backup is damaged; ${newest}`);
	if (alertAfterMs === null) return say("unprotected", `no job backs it up; ${newest}`);
	const waitedMs = recoveryPointAgeMs ?? Math.max(0, now - facts.expectedSince);
	if (waitedMs > alertAfterMs) {
		return say(
			"late",
			`${newest}; at most ${formatDuration(alertAfterMs)} are wanted${failures > 0 ? `; the last attempt failed${why}` : ""}`,
		);
	}
	if (failures > 0)
		return say("failing", `${failures === 1 ? "the last backup" : `the last ${failures} backups`} failed${why}`);
	if (recoveryPointAgeMs === null) return say("unprotected", "its first backup has not been made yet");
	return say("protected", newest);
}
