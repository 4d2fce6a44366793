import { SternaError } from "@sterna/shared/errors";
import type { GuestState } from "@sterna/shared/guest";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import { guestStanding } from "../inventory/standing.ts";
import { objectsOf } from "./catalogue.ts";
import type { RestoreEntry, Restores } from "./restores.ts";

const requestKind = "restore.giveUpRequested";

type Facts = Pick<RestoreEntry, "endedAt" | "state" | "mode" | "report" | "targetName">;

/** Why a restore is not given up while its guest is in `state` (null: no such guest is known); null when it may be. Pure. */
export function refuseGiveUp(restore: Facts, state: GuestState | null): { message: string; cure: string } | null {
	const { endedAt, mode, report, targetName } = restore;
	if (endedAt !== null) return { message: `it has ended (${restore.state})`, cure: "begin a new one" };
	if (mode !== "instant" || (report?.phase !== "boot" && report?.phase !== "stream")) {
		return { message: "nothing that the guest wrote would be lost yet", cure: "cancel it: it is undone" };
	}
	if (state === "unknown") return { message: `the host of ${targetName} is out of reach`, cure: "wait for the host" };
	if (state !== null && state !== "stopped" && state !== "crashed") {
		return {
			message: `${targetName} is ${state} and reads from the repository`,
			cure: `power ${targetName} off first; what it wrote stays in its half-filled disks`,
		};
	}
	return null;
}

/** The state of the guest that the restore brings back; null where nobody knows of it any more. */
export function targetState({ inventory, now }: Core, restore: Pick<RestoreEntry, "targetGuestId">): GuestState | null {
	const guest = inventory.guests.get(restore.targetGuestId);
	return guest ? guestStanding(guest, inventory, now()).state : null;
}

/**
 * Ends a restore that can only go forward and does not get there. Nothing is deleted: its guest stays, stopped, with
 * half-filled disks from which its host does not start it. Its end comes as the host's report.
 * @throws {SternaError} `wrong_state` with what `refuseGiveUp` says, or what the host does; `host_offline`.
 */
export async function giveUpRestore(
	{ core, hub, restores }: { core: Core; hub: AgentHub; restores: Restores },
	restore: RestoreEntry,
	actor: string,
): Promise<void> {
	const { id, hostId, pointId, guestId, guestName, targetGuestId, targetName } = restore;
	const refusal = refuseGiveUp(restore, targetState(core, restore));
	if (refusal) {
		const message = `the restore of ${targetName} is not given up: ${refusal.message}`;
		throw new SternaError("wrong_state", message, { cure: refusal.cure });
	}
	// First: when the answer is lost it may have been done, and whoever looks for a reason later must find who asked for it.
	await core.events.append({
		...{ kind: requestKind, actor },
		sentence: `${actor} asked to stop the restore of ${guestName}: ${targetName} keeps half-filled disks, nothing is deleted`,
		objects: [
			...objectsOf({ id: pointId, guestId, guestName }),
			...(targetGuestId === guestId ? [] : [{ type: "guest" as const, id: targetGuestId, name: targetName }]),
			{ type: "restore", id, name: targetName },
		],
	});
	await restores.reported(hostId, await hub.call(hostId, "restore.giveUp", { restoreId: id }));
}

/** Who asked last that the restore is given up; null when nobody did. */
export async function whoGaveUp({ events }: Core, { id }: Pick<RestoreEntry, "id">): Promise<string | null> {
	const { rows } = await events.list({ objectId: id, kind: requestKind, filter: "", limit: 1 });
	return rows[0]?.actor ?? null;
}
