/** One sample a day of what a repository takes. */
export interface UsageSample {
	at: number;
	storedBytes: number;
}

const windowMs = 14 * 24 * 3_600_000;
const dayMs = 24 * 3_600_000;

/** Mean growth over the last 14 days, bytes per day; null with less than a day of samples. Negative when it shrinks. */
export function growthOf(samples: readonly UsageSample[], now: number): number | null {
	const recent = samples.filter(({ at }) => now - at <= windowMs).sort((a, b) => a.at - b.at);
	const [first] = recent;
	const last = recent.at(-1);
	if (!first || !last || last.at - first.at < dayMs / 2) return null;
	return ((last.storedBytes - first.storedBytes) * dayMs) / (last.at - first.at);
}

/** Days until nothing is free at that growth; null when it does not grow, or nothing says how much is free. */
export function daysUntilFull(freeBytes: number | null, growthBytesPerDay: number | null): number | null {
	if (freeBytes === null || growthBytesPerDay === null || growthBytesPerDay <= 0) return null;
	return freeBytes / growthBytesPerDay;
}

export interface HealthFacts {
	/** Why no host gets to it; null while one does. */
	whyNobody: string | null;
	damages: number;
	damagedPoints: number;
	freeBytes: number | null;
	capacityBytes: number | null;
	daysUntilFull: number | null;
	keyConfirmed: boolean;
	/** What the last canary said when it failed. */
	canaryFailure: string | null;
	/** Age of the last scrub that ended well; null before the first. */
	scrubAgeMs: number | null;
	ageMs: number;
}

const fullShare = 0.02;
const scrubLateMs = 35 * dayMs;

/** Red for what has gone wrong, `watch` for what will; the worst is said. */
export function healthOfRepository(facts: HealthFacts): {
	health: "healthy" | "watch" | "damaged" | "unreachable" | "full";
	sentence: string;
} {
	const { freeBytes, capacityBytes } = facts;
	if (facts.damages > 0) {
		const points =
			facts.damagedPoints === 0
				? "no recovery point needs the damaged part"
				: `${facts.damagedPoints} recovery ${facts.damagedPoints === 1 ? "point is" : "points are"} hit`;
		return { health: "damaged", sentence: `the last scrub found damage: ${points}` };
	}
	if (facts.whyNobody) return { health: "unreachable", sentence: `no host reaches it: ${facts.whyNobody}` };
	if (facts.canaryFailure)
		return { health: "damaged", sentence: `what should be locked could be deleted: ${facts.canaryFailure}` };
	if (freeBytes !== null && capacityBytes !== null && freeBytes < capacityBytes * fullShare)
		return { health: "full", sentence: "its place is full" };
	if (!facts.keyConfirmed) return { health: "watch", sentence: "nobody has confirmed to have its recovery key" };
	if (facts.daysUntilFull !== null && facts.daysUntilFull < 14) {
		return {
			health: "watch",
			sentence: `at its present growth it is full in ${Math.max(1, Math.round(facts.daysUntilFull))} days`,
		};
	}
	if ((facts.scrubAgeMs ?? facts.ageMs) > scrubLateMs)
		return { health: "watch", sentence: "it has not been scrubbed for more than 35 days" };
	return {
		health: "healthy",
		sentence:
			facts.scrubAgeMs === null ? "no scrub has been made yet" : "the last scrub found everything as it was written",
	};
}
