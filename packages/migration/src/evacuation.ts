import type { GuestSpec, GuestState } from "@sterna/shared/guest";
import { guestOverheadBytes } from "@sterna/shared/guest";
import type { GuestId, HostId } from "@sterna/shared/ids";
import { defaultLinkBytesPerSecond, estimateMove } from "./estimate.ts";
import { type PlacementHost, type PlacementRequest, place } from "./placement.ts";

/**
 * Emptying one host, as a pure step function: the console calls `stepEvacuation` whenever something changed, starts what
 * it says, and tells it the outcomes. All of it is in the rows, so a restarted console goes on where it was.
 */
export type EvacuationState = "pending" | "moving" | "moved" | "failed" | "blocked" | "skipped";

export interface EvacuationRow {
	guestId: GuestId;
	name: string;
	state: EvacuationState;
	targetHostId: HostId | null;
	attempts: number;
	/** Targets that failed; others are tried first. */
	triedHostIds: readonly HostId[];
	/** Why it is blocked, failed or skipped, and what would cure it. */
	reason: string | null;
	cure: string | null;
}

export interface Evacuation {
	hostId: HostId;
	hostName: string;
	seed: number;
	rows: readonly EvacuationRow[];
}

export interface EvacuatingGuest {
	spec: GuestSpec;
	state: GuestState;
	running: PlacementRequest["running"];
	/** Allocated bytes of its local volumes. */
	diskBytes: number;
	/** 0 when unknown. */
	dirtyBytesPerSecond: number;
	/** How much its loss would cost beside the others'; 1 is ordinary. */
	weight: number;
	/** Somebody else's move takes it away already: its end is waited for. */
	leaving: boolean;
}

/** What is so at the moment. */
export interface EvacuationView {
	/** The guests that are on the host now. */
	guests: readonly EvacuatingGuest[];
	/** All hosts, the evacuated one too. */
	hosts: readonly PlacementHost[];
	/** Moves under way, of this evacuation and of anyone else. */
	outgoingMoves: number;
	incomingMoves: ReadonlyMap<HostId, number>;
}

export interface EvacuationStep {
	evacuation: Evacuation;
	/** Moves to start now, in this order. */
	start: readonly { guestId: GuestId; targetHostId: HostId }[];
	/** Nothing moves, nothing waits and nobody is on the way here. `empty`: the host may go to maintenance; else the rows name who is left and why. */
	finished: boolean;
	empty: boolean;
}

/** Concurrent moves that the copying of each still profits from. */
export const maxOutgoing = 2;
export const maxIncoming = 2;
const maxAttempts = 3;

export function beginEvacuation(host: { hostId: HostId; hostName: string }, seed: number): Evacuation {
	return { ...host, seed, rows: [] };
}

/** Takes the outcome of a move that `stepEvacuation` started. */
export function recordOutcome(
	evacuation: Evacuation,
	guestId: GuestId,
	outcome: { moved: true } | { moved: false; reason: string; cure: string | null },
): Evacuation {
	return withRow(evacuation, guestId, (row) => {
		if (outcome.moved) return { ...row, state: "moved", reason: null, cure: null };
		const attempts = row.attempts + 1;
		const triedHostIds = row.targetHostId ? [...row.triedHostIds, row.targetHostId] : row.triedHostIds;
		const state = attempts < maxAttempts ? "pending" : "failed";
		return { ...row, state, attempts, triedHostIds, reason: outcome.reason, cure: outcome.cure };
	});
}

/** Decides what starts now. Guests that came since the last step are taken along; those that left by themselves are skipped. */
export function stepEvacuation(before: Evacuation, view: EvacuationView): EvacuationStep {
	let evacuation = followGuests(before, view);
	const hosts = new Map(view.hosts.map((host) => [host.facts.hostId, host]));
	const incoming = new Map(view.incomingMoves);
	const start: { guestId: GuestId; targetHostId: HostId }[] = [];
	for (const guest of inOrder(view.guests)) {
		const row = evacuation.rows.find((candidate) => candidate.guestId === guest.spec.id);
		if (guest.state !== "running" || guest.leaving || row?.state !== "pending") continue;
		const { target, reason } = chooseTarget(evacuation, row, guest, [...hosts.values()], incoming);
		if (target === null) {
			const cure = "add memory, storage or a host, or shut the guest down";
			if (reason !== null)
				evacuation = withRow(evacuation, row.guestId, (r) => ({ ...r, state: "blocked", reason, cure }));
			else evacuation = withRow(evacuation, row.guestId, (r) => ({ ...r, state: "pending" }));
			continue;
		}
		if (view.outgoingMoves + start.length >= maxOutgoing) continue;
		const targetHostId = target.facts.hostId;
		evacuation = withRow(evacuation, row.guestId, (r) => ({
			...r,
			state: "moving",
			targetHostId,
			reason: null,
			cure: null,
		}));
		start.push({ guestId: row.guestId, targetHostId });
		incoming.set(targetHostId, (incoming.get(targetHostId) ?? 0) + 1);
		hosts.set(targetHostId, promised(target, guest.spec));
	}
	const arriving = view.incomingMoves.get(evacuation.hostId) ?? 0;
	const finished = arriving === 0 && !evacuation.rows.some((row) => row.state === "pending" || row.state === "moving");
	return {
		evacuation,
		start,
		finished,
		empty: finished && !view.guests.some((guest) => guest.state !== "stopped" && guest.state !== "crashed"),
	};
}

/** Smith's rule: loss per second of waiting first, so small and important guests leave early. Ties by id. */
function inOrder(guests: readonly EvacuatingGuest[]): EvacuatingGuest[] {
	const urgency = ({ spec, weight, diskBytes, dirtyBytesPerSecond }: EvacuatingGuest) => {
		const size = {
			memoryBytes: spec.memoryBytes,
			diskBytes,
			dirtyBytesPerSecond,
			linkBytesPerSecond: defaultLinkBytesPerSecond,
		};
		return weight / estimateMove(size).durationMs;
	};
	return [...guests].sort((a, b) => urgency(b) - urgency(a) || a.spec.id.localeCompare(b.spec.id));
}

function followGuests(evacuation: Evacuation, { guests }: EvacuationView): Evacuation {
	const here = new Map(guests.map((guest) => [guest.spec.id, guest]));
	const rows = evacuation.rows.map((row): EvacuationRow => {
		const guest = here.get(row.guestId);
		if (row.state === "moving" || row.state === "moved" || row.state === "failed") return row;
		if (!guest) return { ...row, state: "skipped", reason: "it is no longer on the host", cure: null };
		return { ...row, ...standing(guest) };
	});
	const known = new Set(rows.map((row) => row.guestId));
	for (const guest of guests) {
		if (known.has(guest.spec.id)) continue;
		const { id: guestId, name } = guest.spec;
		rows.push({
			guestId,
			name,
			targetHostId: null,
			attempts: 0,
			triedHostIds: [],
			reason: null,
			cure: null,
			state: "pending",
			...standing(guest),
		});
	}
	return { ...evacuation, rows };
}

/** A guest that does not run has nothing to lose by staying; one that is paused or changing must be decided by a person. */
function standing({ state }: EvacuatingGuest): Partial<EvacuationRow> {
	if (state === "running") return { state: "pending" };
	if (state === "stopped" || state === "crashed")
		return { state: "skipped", reason: `it is ${state} and stays on its disks`, cure: null };
	if (state === "unknown")
		return {
			state: "blocked",
			reason: "its host does not say how it is",
			cure: "wait until the host's agent is heard",
		};
	return { state: "blocked", reason: `it is ${state}; only a running guest moves`, cure: "resume it, or shut it down" };
}

/** No target and no reason: all that fit are busy receiving. */
function chooseTarget(
	evacuation: Evacuation,
	row: EvacuationRow,
	guest: EvacuatingGuest,
	hosts: readonly PlacementHost[],
	incoming: ReadonlyMap<HostId, number>,
): { target: PlacementHost | null; reason: string | null } {
	const exclude = new Set([evacuation.hostId]);
	const { candidates, refused } = place(
		{ spec: guest.spec, exclude, running: guest.running, seed: evacuation.seed },
		hosts,
	);
	if (candidates.length === 0) {
		const others = refused.filter((host) => host.hostId !== evacuation.hostId);
		const reason =
			others.length === 0 ? "there is no other host" : others.map((host) => `${host.name}: ${host.reason}`).join("; ");
		return { target: null, reason };
	}
	const untried = candidates.filter((candidate) => !row.triedHostIds.includes(candidate.hostId));
	const choice = [...untried, ...candidates].find((candidate) => (incoming.get(candidate.hostId) ?? 0) < maxIncoming);
	return { target: hosts.find((host) => host.facts.hostId === choice?.hostId) ?? null, reason: null };
}

function promised(host: PlacementHost, spec: GuestSpec): PlacementHost {
	return {
		...host,
		committedMemoryBytes: host.committedMemoryBytes + spec.memoryBytes + guestOverheadBytes(spec.memoryBytes),
		committedVcpus: host.committedVcpus + spec.vcpus,
	};
}

function withRow(evacuation: Evacuation, guestId: GuestId, change: (row: EvacuationRow) => EvacuationRow): Evacuation {
	return { ...evacuation, rows: evacuation.rows.map((row) => (row.guestId === guestId ? change(row) : row)) };
}
