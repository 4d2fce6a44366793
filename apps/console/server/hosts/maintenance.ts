import { defaultLinkBytesPerSecond, estimateMove } from "@sterna/migration/estimate";
import { beginEvacuation, maxOutgoing, recordOutcome, stepEvacuation } from "@sterna/migration/evacuation";
import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { and, eq } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { sightOf } from "../evacuations/sight.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { EmptyIn, MaintenancePlan } from "../views-hosts.ts";

/** Who would leave the host in which order to where, and who could not. The same step function that does it decides. */
export function planMaintenance(hostId: HostId, inventory: Inventory, now: number): MaintenancePlan {
	const host = inventory.host(hostId);
	const current = sightOf(hostId, inventory, now);
	// Those that are under way count as not yet gone: the plan says how long the rest takes.
	let sight = { ...current, outgoingMoves: 0, guests: current.guests.map((guest) => ({ ...guest, leaving: false })) };
	const everyone = sight.guests;
	let evacuation = beginEvacuation({ hostId, hostName: host.name }, seedOf(hostId));
	const moves: MaintenancePlan["moves"] = [];
	for (;;) {
		const step = stepEvacuation(evacuation, sight);
		evacuation = step.evacuation;
		if (step.start.length === 0) break;
		for (const { guestId, targetHostId } of step.start) {
			const guest = sight.guests.find(({ spec }) => spec.id === guestId);
			if (!guest) continue;
			const size = { memoryBytes: guest.spec.memoryBytes, diskBytes: guest.diskBytes, dirtyBytesPerSecond: 0 };
			moves.push({
				guest: { id: guestId, name: guest.spec.name },
				target: { id: targetHostId, name: inventory.hostName(targetHostId) },
				predictedDurationMs: estimateMove({ ...size, linkBytesPerSecond: defaultLinkBytesPerSecond }).durationMs,
			});
			evacuation = recordOutcome(evacuation, guestId, { moved: true });
			sight = {
				...sight,
				guests: sight.guests.filter(({ spec }) => spec.id !== guestId),
				hosts: sight.hosts.map((place) =>
					place.facts.hostId === targetHostId
						? {
								...place,
								committedMemoryBytes: place.committedMemoryBytes + inventory.guest(guestId).grantedBytes,
								committedVcpus: place.committedVcpus + guest.spec.vcpus,
							}
						: place,
				),
			};
		}
	}
	const blocked = evacuation.rows.filter((row) => row.state === "blocked");
	const staying = everyone.filter(({ state }) => state === "stopped" || state === "crashed");
	return {
		host: { id: hostId, name: host.name },
		moves,
		blocked: blocked.map((row) => ({
			guest: { id: row.guestId, name: row.name },
			refusal: { code: "wrong_state", message: row.reason ?? "", ...(row.cure ? { cure: row.cure } : {}) },
		})),
		staying: staying.map(({ spec }) => ({ id: spec.id, name: spec.name })),
		predictedDurationMs: moves.reduce((sum, move) => sum + move.predictedDurationMs, 0) / maxOutgoing,
		undo: `leave maintenance: ${host.name} takes guests again; those that left stay where they are`,
	};
}

/** How long it would take to empty the host, or what stands in the way. */
export function emptyIn(hostId: HostId, inventory: Inventory, now: number): EmptyIn {
	const host = inventory.host(hostId);
	const running = [...inventory.evacuations.values()].find((evacuation) => evacuation.hostId === hostId);
	if (running)
		return { kind: "evacuating", evacuationId: running.id, remainingMs: remainingOfAll(hostId, inventory, now) };
	if (!host.connected || !host.facts) return { kind: "unknown", reason: "its agent is not heard" };
	const { moves, blocked, predictedDurationMs } = planMaintenance(hostId, inventory, now);
	const [first] = blocked;
	if (first) return { kind: "blocked", reason: first.refusal.message, guest: first.guest };
	return moves.length === 0 ? { kind: "empty" } : { kind: "estimate", durationMs: predictedDurationMs };
}

function remainingOfAll(hostId: HostId, inventory: Inventory, now: number): number | null {
	const { moves, predictedDurationMs } = planMaintenance(hostId, inventory, now);
	return moves.length === 0 ? null : predictedDurationMs;
}

/**
 * Back to service.
 * @throws {SternaError} `wrong_state` while it is being emptied, or while a failing finding is open.
 */
export async function leaveMaintenance(core: Core, hostId: HostId, actor: string): Promise<void> {
	const { db, inventory, events, changes } = core;
	const host = inventory.host(hostId);
	if (host.mode === "normal") throw new SternaError("wrong_state", `${host.name} is in service already`);
	if (host.mode === "evacuating") {
		throw new SternaError("wrong_state", `${host.name} is being emptied`, { cure: "cancel the evacuation instead" });
	}
	const failing = host.findings.find(({ severity, finding }) => severity === "failing" && finding.relevant);
	if (failing) {
		throw new SternaError("wrong_state", `${host.name} stays out of service: ${failing.finding.component} is failing`, {
			cure: "replace the part, then release the finding",
		});
	}
	await db.transaction(async (tx) => {
		const changed = await tx
			.update(tables.hosts)
			.set({ mode: "normal" })
			.where(and(eq(tables.hosts.id, hostId), eq(tables.hosts.mode, "maintenance")))
			.returning({ id: tables.hosts.id });
		if (changed.length === 0) throw new SternaError("conflict", `${host.name} begins to be emptied at this moment`);
		await events.append(
			{
				kind: "host.maintenanceLeft",
				actor,
				objects: [{ type: "host", id: hostId, name: host.name }],
				sentence: `${actor} put ${host.name} back into service`,
			},
			tx,
		);
	});
	host.mode = "normal";
	changes.touch("overview", "hosts", `host:${hostId}`);
}

function seedOf(id: string): number {
	return Number.parseInt(id.slice(0, 8), 16);
}
