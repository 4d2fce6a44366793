import { refuseExecution } from "@sterna/migration/handover";
import type { OwnershipRecord } from "@sterna/migration/ownership-record";
import type { ErrorCode } from "@sterna/shared/errors";
import { type GuestState, refuseGuestAction } from "@sterna/shared/guest";

export type LifecycleCommand = "start" | "shutDown" | "powerOff" | "pause" | "resume" | "delete";

export interface Situation {
	/** What the guest is called in sentences. */
	name: string;
	record: OwnershipRecord | null;
	/** The grant that the command speaks for. */
	epoch: number;
	state: GuestState;
}

/** `alreadySo`: what is asked for is the case; answered like success, nothing is done. */
export type Verdict =
	| { verdict: "accept" }
	| { verdict: "alreadySo" }
	| { verdict: "refuse"; code: ErrorCode; message: string };

const alreadySo: Record<LifecycleCommand, readonly GuestState[]> = {
	start: ["running", "starting"],
	shutDown: ["stopped", "crashed"],
	powerOff: ["stopped", "crashed"],
	pause: ["paused"],
	resume: ["running"],
	delete: [],
};

/** Beyond the shared table: pressing a power button again does no harm. */
const alsoAllowed: Partial<Record<LifecycleCommand, readonly GuestState[]>> = { shutDown: ["stopping"] };

/** Whether a command is carried out. The grant comes first: who speaks for an old one learns nothing of the state. */
export function decide(command: LifecycleCommand, { name, record, epoch, state }: Situation): Verdict {
	if (!record || record.role === "none") return refuse("not_found", `guest ${name} is not on this host`);
	const refusal = refuseExecution(record, epoch);
	if (refusal) return refuse(refusal.code, `guest ${name}: ${refusal.message}`);
	if (alreadySo[command].includes(state)) return { verdict: "alreadySo" };
	if (alsoAllowed[command]?.includes(state)) return { verdict: "accept" };
	const reason = refuseGuestAction(command, { state, migrating: false, hostOnline: true });
	return reason ? refuse("wrong_state", `guest ${name} cannot do that: ${reason}`) : { verdict: "accept" };
}

function refuse(code: ErrorCode, message: string): Verdict {
	return { verdict: "refuse", code, message };
}
