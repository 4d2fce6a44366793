import type { GuestHolds, Hold } from "../guests/holds.ts";
import type { RestoreFacts } from "./journal.ts";

/** A restore's hold on its guest: nobody else touches it. */
export interface RestoreHold {
	/** Held already: no change. */
	take(): void;
	/** Lets the guest be started. */
	letGo(): void;
	/** For what is refused while it is held, and is the restore's own doing. */
	readonly own: Hold;
}

/** Not taken yet. */
export function restoreHold(holds: GuestHolds, { restoreId, spec }: RestoreFacts): RestoreHold {
	const own: Hold = {
		reason: `is being restored, by restore ${restoreId}`,
		refuses: ["start", "delete", "migrate", "backup", "changeVolumes", "restore"],
	};
	let release: (() => void) | null = null;
	return {
		own,
		take() {
			release ??= holds.place(spec.id, own);
		},
		letGo() {
			release?.();
			release = null;
		},
	};
}
