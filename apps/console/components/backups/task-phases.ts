import { endedTaskStates, type TaskState } from "@sterna/shared/backup";

export type PhaseStanding = "done" | "now" | "ahead" | "stopped";

/** Where each phase of a task stands, from the one it is in (or ended in) and its state. */
export function standingsOf<Phase extends string>(
	phases: readonly Phase[],
	phase: Phase | null,
	state: TaskState | null,
): { phase: Phase; standing: PhaseStanding }[] {
	const at = phase === null ? -1 : phases.indexOf(phase);
	return phases.map((one, index) => {
		if (state === "completed" || index < at) return { phase: one, standing: "done" };
		if (index > at || state === null) return { phase: one, standing: "ahead" };
		return { phase: one, standing: endedTaskStates.includes(state) || state === "undoing" ? "stopped" : "now" };
	});
}
