import type { RestoreTask } from "./task.ts";

/** Why a restore that only goes forward cannot be undone, as a sentence. */
export function whyOnlyForward(task: Pick<RestoreTask, "facts" | "has">): string {
	if (task.facts.mode === "copy" || task.has("filled")) return "the guest is restored already and can only go forward";
	const started = task.has("booted") ? "has started" : "may have started";
	return `the guest ${started} and its data is still coming; what it wrote since would be lost`;
}
