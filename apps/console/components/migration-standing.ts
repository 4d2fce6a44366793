import { MigrationPhase, type MigrationReport } from "@sterna/shared/migration";

/** How one phase of a move stands: the line of phases is drawn from this. */
export type Standing = "done" | "now" | "ahead" | "stopped" | "skipped";

type Known = Pick<MigrationReport, "phase" | "state" | "phases">;

/** Before the source has reported everything lies ahead; a phase that was passed without being entered was not needed. */
export function standingOf(phase: MigrationPhase, report: Known | null): Standing {
	if (!report) return "ahead";
	if (phase === report.phase && report.state !== "completed") return report.state === "running" ? "now" : "stopped";
	if (report.phases.some((one) => one.phase === phase)) return "done";
	return hasReached(report, phase) ? "skipped" : "ahead";
}

/** Whether the move has come to this phase or past it. */
export function hasReached(report: Pick<MigrationReport, "phase">, phase: MigrationPhase): boolean {
	return MigrationPhase.options.indexOf(report.phase) >= MigrationPhase.options.indexOf(phase);
}
