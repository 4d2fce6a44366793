import { Name } from "@sterna/shared/names";
import type { Inputs } from "../server/root.ts";

type RestoreRequest = Inputs["restores"]["start"];

/** The form of a restore as it stands. */
export interface RestoreDraft {
	way: "instant" | "new" | "over" | "disk";
	name: string;
	/** Null: the planner chooses. */
	hostId: string | null;
	connectNetworks: boolean;
	start: boolean;
	/** Over the old guest: let it run at once while the data streams in. */
	atOnce: boolean;
	volumeId: string;
	intoGuestId: string;
	/** The guest's name, typed to confirm that what it holds now is lost. */
	typed: string;
}

/** A new guest beside the old one, running at once: what harms nobody and is soonest there. */
export function freshRestore(point: {
	guest: { id: string; name: string };
	volumes: readonly { volumeId: string }[];
}): RestoreDraft {
	return {
		way: "instant",
		name: `${point.guest.name.slice(0, 54)}-restored`,
		hostId: null,
		connectNetworks: false,
		start: true,
		atOnce: false,
		volumeId: point.volumes[0]?.volumeId ?? "",
		intoGuestId: point.guest.id,
		typed: "",
	};
}

/** What the form asks for, or the first thing that is missing. */
export function restoreOf(
	draft: RestoreDraft,
	point: { id: string; guest: { name: string } },
): { request: RestoreRequest; missing: null } | { request: null; missing: string } {
	const pointId = point.id;
	switch (draft.way) {
		case "instant":
		case "new": {
			const name = Name.safeParse(draft.name);
			if (!name.success) return { request: null, missing: name.error.issues[0]?.message ?? "a name is needed" };
			return {
				request: {
					pointId,
					mode: draft.way === "instant" ? "instant" : "copy",
					target: {
						kind: "new",
						name: name.data,
						connectNetworks: draft.connectNetworks,
						...(draft.hostId ? { hostId: draft.hostId } : {}),
					},
					start: draft.way === "instant" || draft.start,
				},
				missing: null,
			};
		}
		case "over":
			return {
				request: {
					pointId,
					mode: draft.atOnce ? "instant" : "copy",
					target: { kind: "over" },
					start: draft.atOnce || draft.start,
				},
				missing: null,
			};
		case "disk":
			if (draft.volumeId === "") return { request: null, missing: "choose a disk" };
			if (draft.intoGuestId === "") return { request: null, missing: "choose the guest that gets the disk" };
			return {
				request: {
					pointId,
					mode: "copy",
					target: { kind: "disk", volumeId: draft.volumeId, intoGuestId: draft.intoGuestId },
					start: false,
				},
				missing: null,
			};
	}
}

/** Why the restore may not be confirmed yet although its plan stands; null when it may. */
export function confirmRefusal(draft: RestoreDraft, guestName: string): string | null {
	return draft.way === "over" && draft.typed !== guestName ? `type ${guestName} to confirm what is lost` : null;
}
