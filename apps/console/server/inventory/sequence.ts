import type { TrackedReport } from "@sterna/shared/protocol/report";

/** The last report that was taken of a host. */
export interface Place {
	run: string;
	id: number;
}

/**
 * What to do with a report. `take`: it is next. `old`: it was taken before, or something newer was. `lost`: it belongs to
 * another life of the agent and is no snapshot, so what came before it is missing.
 * The agents' clocks decide nothing here; ids do.
 */
export function judgeReport(last: Place | null, { run, id, event }: TrackedReport): "take" | "old" | "lost" {
	if (last?.run !== run) return event.type === "snapshot" ? "take" : "lost";
	return id > last.id ? "take" : "old";
}

/** Whether a report of one thing is newer than the one that is kept. Generations compare within one life of the agent. */
export function isNewer(kept: { generation: number } | undefined, report: { generation: number }): boolean {
	return !kept || report.generation > kept.generation;
}

/** A host's time, kept within a minute of ours: a clock that is a year off must not bend charts and roll-ups. */
export function plausibleTime(at: number, now: number): number {
	return Math.abs(at - now) > 60_000 ? now : at;
}
