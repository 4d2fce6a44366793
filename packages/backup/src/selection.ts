import type { GuestId } from "@sterna/shared/ids";
import type { Selection, Tag } from "./job.ts";

/** What a selection looks at. */
export interface SelectableGuest {
	id: GuestId;
	tags: readonly Tag[];
	/** Pools of its volumes. */
	pools: readonly string[];
	/** Guests without a disk have nothing to save. */
	volumes: number;
}

/** Whether the job takes the guest now; asked anew at every run. A guest without disks is never taken. */
export function isSelected(selection: Selection, guest: SelectableGuest): boolean {
	if (guest.volumes === 0) return false;
	switch (selection.by) {
		case "all":
			return true;
		case "guests":
			return selection.guestIds.includes(guest.id);
		case "tags":
			return selection.tags.some((tag) => guest.tags.includes(tag));
		case "pool":
			return guest.pools.includes(selection.pool);
	}
}

/** `3 guests with the tag db`. */
export function selectionSentence(selection: Selection, count: number): string {
	const guests = `${count} ${count === 1 ? "guest" : "guests"}`;
	switch (selection.by) {
		case "all":
			return `all guests (${count})`;
		case "guests":
			return `${guests}, chosen by name`;
		case "tags":
			return `${guests} with the ${selection.tags.length === 1 ? "tag" : "tags"} ${selection.tags.join(" or ")}`;
		case "pool":
			return `${guests} with a disk in pool ${selection.pool}`;
	}
}
