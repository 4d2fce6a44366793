import { hostNames, hostOf, type World } from "./world.ts";

/** What is wrong with this state, as a sentence; null when all is well. */
export function violationOf(world: World): string | null {
	const { hosts, committed, grant } = world;
	if (hosts[0].process === "running" && hosts[1].process === "running") return "both hosts execute the guest's CPUs";
	for (const side of [0, 1] as const) {
		const { record, process } = hosts[side];
		if (process !== "running") continue;
		if (record?.role !== "owner") return `${hostNames[side]} executes the guest's CPUs without owning it`;
		if (record.epoch < committed) {
			return `${hostNames[side]} executes the guest's CPUs under epoch ${record.epoch}, but epoch ${committed} has been taken`;
		}
	}
	if (grant.ownerEpoch > committed) return "the console believes in an epoch that no host has taken";
	return null;
}

/**
 * The state in which everybody agrees and nothing is left over: the guest runs once, where the console says. It must be
 * within reach of every state, by steps that are no faults.
 */
export function isSettled({ hosts, grant, lost }: World): boolean {
	if (grant.permit) return false;
	const owner = hostOf(grant.ownerHostId);
	if (owner === lost) return false;
	const { record, process, pending } = hosts[owner];
	const other = hosts[owner === 0 ? 1 : 0];
	return (
		record?.role === "owner" &&
		record.epoch === grant.ownerEpoch &&
		record.outgoing === null &&
		record.arrival?.resumedAt !== null &&
		process === "running" &&
		pending.length === 0 &&
		(lost !== null ||
			((other.record === null || other.record.role === "none") &&
				other.process === "absent" &&
				other.pending.length === 0))
	);
}
