import { createHash } from "node:crypto";
import stringify from "safe-stable-stringify";

/** What the hash of an event covers: everything but the hash itself. */
export interface ChainedEvent {
	sequence: number;
	at: number;
	kind: string;
	actor: string;
	objects: unknown;
	sentence: string;
	why: string | null;
	evidence: unknown;
	severity: string | null;
	previousHash: string;
}

/** What stands before the first event. */
export const genesisHash = "0".repeat(64);

/** SHA-256 over the event as canonical JSON (keys sorted), hexadecimal. */
export function hashEvent(event: ChainedEvent): string {
	const { sequence, at, kind, actor, objects, sentence, why, evidence, severity, previousHash } = event;
	const covered = { sequence, at, kind, actor, objects, sentence, why, evidence, severity, previousHash };
	const canonical = stringify(covered) ?? "";
	return createHash("sha256").update(canonical).digest("hex");
}

/** The state of a walk along the chain, so that a long log is verified in parts. */
export interface ChainWalk {
	sequence: number;
	hash: string;
}

export const chainStart: ChainWalk = { sequence: 0, hash: genesisHash };

/** Walks on over `events`. Returns where it stands, or the sequence of the first event that does not fit. */
export function walkChain(
	from: ChainWalk,
	events: readonly (ChainedEvent & { hash: string })[],
): { walk: ChainWalk } | { brokenAt: number } {
	let walk = from;
	for (const event of events) {
		const fits =
			event.sequence === walk.sequence + 1 && event.previousHash === walk.hash && event.hash === hashEvent(event);
		if (!fits) return { brokenAt: event.sequence };
		walk = { sequence: event.sequence, hash: event.hash };
	}
	return { walk };
}
