import type { RestoreReport } from "@sterna/shared/backup";
import type { RestoreEntry } from "./restores.ts";

/** What the event log says of a restore or drill that has ended as `state`; without a report the host never told of it. */
export function endOf(
	restore: Pick<RestoreEntry, "mode" | "guestName" | "targetName" | "targetKind">,
	state: RestoreEntry["state"],
	report: RestoreReport | null,
): { kind: string; sentence: string; evidence: object } {
	const { guestName, targetName, targetKind } = restore;
	const what = wordOf(restore);
	const { bootedAfterMs = null, provedAfterMs = null, copiedBytes = 0, journal = [] } = report ?? {};
	const seconds = ((provedAfterMs ?? bootedAfterMs ?? 0) / 1000).toFixed(1);
	const failed = report?.givenUp
		? `The restore of ${guestName} was given up: ${targetName} stays, stopped, with half-filled disks`
		: `The restore of ${guestName} failed`;
	const sentences: Partial<Record<RestoreEntry["state"], string>> = {
		completed:
			what === "drill"
				? `The backup of ${guestName} was proved: it works ${seconds} s after the restore began`
				: targetKind === "disk"
					? `A disk of ${guestName} was restored into ${targetName}`
					: `${guestName} was restored as ${targetName}`,
		cancelled: `The ${what} of ${guestName} was cancelled`,
		failed: what === "drill" ? `The backup of ${guestName} could not be proved` : failed,
	};
	const evidence = { bootedAfterMs, provedAfterMs, copiedBytes, journal };
	return { kind: `${what}.${state}`, sentence: sentences[state] ?? state, evidence };
}

export function wordOf({ mode }: Pick<RestoreEntry, "mode">): "drill" | "restore" {
	return mode === "drill" ? "drill" : "restore";
}

/** Why the restore cannot be cancelled any more; null when it can. */
export function refuseCancel(restore: Pick<RestoreEntry, "endedAt" | "state" | "mode" | "report">): string | null {
	if (restore.endedAt !== null) return `it has ended (${restore.state})`;
	if (restore.mode === "instant" && restore.report?.bootedAfterMs != null) {
		return "the guest runs already; it goes on until all its data is there";
	}
	return null;
}
