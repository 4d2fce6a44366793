import { simulate } from "./simulation.ts";

/** What many simulated lives came to. */
export interface RepositoryExploration {
	seeds: number;
	seconds: number;
	/** Calls of a storage, and the time that slow ones took. */
	steps: number;
	rounds: number;
	crashes: number;
	committed: number;
	pruned: number;
	restores: number;
	packsDeleted: number;
	packsMoved: number;
	/** What must never be, with the seed that repeats it. */
	violations: string[];
}

const counted = [
	"steps",
	"rounds",
	"crashes",
	"committed",
	"pruned",
	"restores",
	"packsDeleted",
	"packsMoved",
] as const;

/** Simulates one seed after the other until time is up; at least one. Longer lives than the tests have. */
export async function exploreRepository(options: {
	seconds: number;
	firstSeed: number;
}): Promise<RepositoryExploration> {
	const startedAt = performance.now();
	const counts = {
		steps: 0,
		rounds: 0,
		crashes: 0,
		committed: 0,
		pruned: 0,
		restores: 0,
		packsDeleted: 0,
		packsMoved: 0,
	};
	const violations: string[] = [];
	let seed = options.firstSeed;
	do {
		try {
			const report = await simulate({ seed, rounds: 10, stepsPerRound: 1000 });
			for (const name of counted) counts[name] += report[name];
		} catch (error) {
			violations.push(error instanceof Error ? error.message : String(error));
		}
		seed++;
	} while (performance.now() - startedAt < options.seconds * 1000);
	const seconds = Math.round((performance.now() - startedAt) / 1000);
	return { seeds: seed - options.firstSeed, seconds, ...counts, violations };
}
