import type { RestoreReport } from "@sterna/shared/backup";
import type { RestoreView } from "../../server/views-backups.ts";
import { modeWord, restorePhaseWords } from "./words.ts";

/** What became of a restore, as one sentence. */
export function restoreTitle({
	mode,
	state,
	phase,
	guest,
	target,
	targetKind,
	report,
}: Pick<RestoreView, "mode" | "state" | "phase" | "guest" | "target" | "targetKind"> & {
	report: Pick<RestoreReport, "givenUp"> | null;
}): string {
	const what = `The ${modeWord[mode]} of ${targetKind === "disk" ? `a disk into ${target.name}` : guest.name}`;
	switch (state) {
		case "running":
			return `${what} is under way: ${phase ? restorePhaseWords[phase].doing : "the host begins"}.`;
		case "waiting":
			return mode === "instant"
				? `${target.name} is paused: the repository is out of reach. It goes on when the repository is back.`
				: `${what} waits for the repository.`;
		case "undoing":
			return `${what} is being undone.`;
		case "completed":
			if (mode === "drill") return `${guest.name} can be restored: its backup works.`;
			return targetKind === "disk"
				? `${target.name} has the disk of ${guest.name} as it was then.`
				: `${target.name} is restored.`;
		case "failed":
			if (report?.givenUp) return `${what} was given up; ${target.name} is left with half-filled disks.`;
			return mode === "drill" ? `The backup of ${guest.name} did not prove itself.` : `${what} failed.`;
		case "cancelled":
			return `${what} was cancelled.`;
	}
}
