import { formatDuration } from "@sterna/shared/units";
import type { Figure } from "../ui/figures.tsx";

interface Task {
	/** Null before it has begun. */
	startedAt: number | null;
	endedAt: number | null;
	remainingMs: number | null;
}

/** How long a task still takes, with how long it has taken so far; once it has ended, how long it took. */
export function timeFigure({ startedAt, endedAt, remainingMs }: Task, now: number, left = "Time left"): Figure {
	if (startedAt === null) return { label: "Took", value: "–" };
	if (endedAt !== null) return { label: "Took", value: formatDuration(Math.max(0, endedAt - startedAt)) };
	return {
		label: left,
		value: remainingMs === null ? "–" : formatDuration(remainingMs),
		note: `${formatDuration(Math.max(0, Math.floor((now - startedAt) / 1000) * 1000))} so far`,
	};
}
