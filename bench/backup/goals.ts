import type { ByTool, Comparison } from "./compare.ts";
import type { Latency } from "./latency.ts";

/** One goal of the project: what was wanted, what was reached; null where there is nothing to compare with. */
export interface Goal {
	goal: string;
	reached: number | null;
	met: boolean | null;
}

const goals = { full: 0.6, incremental: 0.25, restore: 1, stored: 1.02, latency: 1.3 };

/** Compares Sterna with the best of the others. */
export function verdict(comparison: Comparison, latency: Latency | { reason: string }): Goal[] {
	const slower = (times: number) => `at most ${times} times as long as the fastest other`;
	return [
		judge(`full backup: ${slower(goals.full)}`, goals.full, ratio(comparison.full, "wallS")),
		judge(
			`incremental backup: ${slower(goals.incremental)}`,
			goals.incremental,
			ratio(comparison.incremental, "wallS"),
		),
		judge(`restore: ${slower(goals.restore)}`, goals.restore, ratio(comparison.restore, "wallS")),
		judge("stored, full: at most 1.02 times the smallest other", goals.stored, ratio(comparison.full, "storedBytes")),
		judge(
			"stored, incremental: at most 1.02 times the smallest other",
			goals.stored,
			ratio(comparison.incremental, "storedBytes"),
		),
		judge(
			"guest write latency (p99) during a backup: at most 1.3 times that without",
			goals.latency,
			"reason" in latency ? null : latency.p99DuringMs / latency.p99WithoutMs,
		),
	];
}

function ratio({ sterna, ...others }: ByTool, figure: "wallS" | "storedBytes"): number | null {
	const best = Math.min(...Object.values(others).flatMap((one) => one?.[figure] ?? []));
	const own = sterna?.[figure];
	return own === undefined || !Number.isFinite(best) ? null : own / best;
}

function judge(goal: string, limit: number, reached: number | null): Goal {
	if (reached === null) return { goal, reached, met: null };
	return { goal, reached: Math.round(reached * 1000) / 1000, met: reached <= limit };
}
