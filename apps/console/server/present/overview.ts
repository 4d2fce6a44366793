import { hostReserveBytes } from "@sterna/shared/guest";
import { worstFinding } from "@sterna/shared/health";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { and, desc, eq, gte } from "drizzle-orm";
import type { Backups } from "../backups/backups.ts";
import { backupDecisions, backupTasks } from "../backups/present-overview.ts";
import { summaryOf } from "../backups/protection.ts";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import { planMaintenance } from "../hosts/maintenance.ts";
import type { HostEntry, Inventory, MoveEntry } from "../inventory/inventory.ts";
import { connectionOf, guestStanding, healthStateOf } from "../inventory/standing.ts";
import { progressOf, remainingOf } from "../migrations/present.ts";
import { guestsWithPlaceOn } from "../placement/capacity.ts";
import type { EvacuationRow } from "../views-migrations.ts";
import type { Decision, GuestChip, Overview, Task } from "../views-overview.ts";
import { evacuationRows } from "./evacuations.ts";
import { headlineOf, type Situation } from "./headline.ts";
import { hostRow } from "./hosts.ts";

const maxHosts = 24;
const maxChips = 16;
const maxTasks = 12;
/** An evacuation that has ended is still the news for this long, while its host is failing. */
const recentMs = 24 * 3_600_000;

/** Is anything wrong, what is being done, what needs me. */
export async function overview(core: Core, backups: Backups, demo: boolean): Promise<Overview> {
	const { inventory, events, now } = core;
	const at = now();
	const hosts = [...inventory.hosts.values()].filter((host) => host.revokedAt === null);
	const running = await evacuationRows(core, [...inventory.evacuations.values()]);
	const guests = [...inventory.guests.values()].map((guest) => ({ guest, ...guestStanding(guest, inventory, at) }));
	const moves = [...inventory.moves.values()].filter((move) => move.endedAt === null);
	const byUrgency = [...hosts].sort(
		(a, b) => urgency(b, at) - urgency(a, at) || a.name.localeCompare(b.name, "en", { numeric: true }),
	);
	const shown = byUrgency.slice(0, maxHosts);
	const { rows } = await events.list({ filter: "", limit: 8 });
	const situation: Situation = {
		now: at,
		hosts: byUrgency.map((host) => situationHost(host, inventory, at)),
		evacuation: await newsworthyEvacuation(core, byUrgency, running),
		guests: {
			total: guests.length,
			running: guests.filter(({ state }) => state === "running").length,
			unknown: guests.filter(({ state }) => state === "unknown").length,
			crashed: guests.filter(({ state }) => state === "crashed").map(({ guest }) => guest.name),
		},
		migrationsRunning: moves.length,
		backups: {
			damaged: backups.repositories.all().filter(({ damages }) => damages.length > 0),
			behind: [...inventory.guests.values()]
				.filter(({ protection }) => protection?.state === "late" || protection?.state === "damaged")
				.map(({ name }) => name),
		},
	};
	return {
		headline: headlineOf(situation),
		figures: {
			hosts: {
				total: hosts.length,
				online: hosts.filter((host) => connectionOf(host, at) === "online").length,
				healthy: situation.hosts.filter(({ health }) => health === "healthy").length,
				failing: situation.hosts.filter(({ health }) => health === "failing").length,
				degraded: situation.hosts.filter(({ health }) => health === "degraded").length,
			},
			guests: { total: situation.guests.total, running: situation.guests.running },
			ifOneHostIsLost: ifOneHostIsLost(hosts, inventory),
			migrationsRunning: moves.length,
			protection: summaryOf(inventory.guests.values()),
		},
		hosts: shown.map((host) => {
			const chips = chipsOf(host, inventory, at);
			return {
				...hostRow(host, inventory, at),
				guests: chips.slice(0, maxChips),
				moreGuests: Math.max(0, chips.length - maxChips),
			};
		}),
		moreHosts: byUrgency.length - shown.length,
		tasks: [
			...running.map(evacuationTask),
			...moves.map((move) => moveTask(move, inventory, at)),
			...backupTasks(core, backups),
		].slice(0, maxTasks),
		decisions: [...decisionsOf(byUrgency, running, inventory, at), ...(await backupDecisions(core, backups))].slice(
			0,
			20,
		),
		events: rows,
		demo,
	};
}

function urgency(host: HostEntry, now: number): number {
	const health = { failing: 5, degraded: 4, unknown: 3, watch: 2, healthy: 1 }[healthStateOf(host, now)];
	return host.quarantinedBecause ? 6 : health;
}

function situationHost(host: HostEntry, inventory: Inventory, now: number): Situation["hosts"][number] {
	const worst = worstFinding(host.findings.map(({ finding }) => finding).filter(({ relevant }) => relevant));
	const entry = host.findings.find(({ finding }) => finding === worst);
	return {
		id: host.id,
		name: host.name,
		health: healthStateOf(host, now),
		connection: connectionOf(host, now),
		mode: host.mode,
		quarantined: host.quarantinedBecause !== null,
		worst: worst ?? host.findings[0]?.finding ?? null,
		action: entry?.action ?? null,
		guestsRunning: inventory
			.guestsOf(host.id)
			.filter((guest) => guestStanding(guest, inventory, now).state === "running").length,
	};
}

/** The evacuation of the worst host: running, or ended a while ago while the host is still failing. */
async function newsworthyEvacuation(
	core: Core,
	hosts: readonly HostEntry[],
	running: readonly EvacuationRow[],
): Promise<Situation["evacuation"]> {
	const { db, inventory, now } = core;
	const [worst] = hosts.filter((host) => healthStateOf(host, now()) === "failing");
	let row = running.find(({ host }) => host.id === worst?.id) ?? (worst ? undefined : running[0]);
	if (!row && worst) {
		const ended = await db
			.select()
			.from(tables.evacuations)
			.where(and(eq(tables.evacuations.hostId, worst.id), gte(tables.evacuations.startedAt, now() - recentMs)))
			.orderBy(desc(tables.evacuations.startedAt))
			.limit(1);
		[row] = await evacuationRows(core, ended);
	}
	if (!row || row.state === "cancelled") return null;
	return {
		id: row.id,
		hostName: inventory.hostName(row.host.id),
		moved: row.moved,
		total: row.total,
		blocked: row.endedAt === null ? 0 : row.total - row.moved,
		remainingMs: row.remainingMs,
		startedAt: row.startedAt,
		running: row.endedAt === null,
	};
}

/** Memory that the rest would carry, were the largest host lost. */
function ifOneHostIsLost(hosts: readonly HostEntry[], inventory: Inventory): Overview["figures"]["ifOneHostIsLost"] {
	const usable = hosts
		.filter((host) => host.facts && host.mode === "normal")
		.map((host) => host.facts?.memoryBytes ?? 0)
		.map((bytes) => bytes - hostReserveBytes(bytes));
	if (usable.length < 2) return null;
	const rest = usable.reduce((sum, bytes) => sum + bytes, 0) - Math.max(...usable);
	const granted = [...inventory.guests.values()].reduce((sum, guest) => sum + guest.grantedBytes, 0);
	return { memoryShare: rest > 0 ? granted / rest : 1, fits: granted <= rest };
}

function chipsOf(host: HostEntry, inventory: Inventory, now: number): GuestChip[] {
	return guestsWithPlaceOn(inventory, host.id)
		.map((guest): GuestChip => {
			const { permit, ownerHostId } = guest.grant;
			const out = permit !== null && ownerHostId === host.id;
			const peer = permit && (out ? permit.targetHostId : permit.sourceHostId);
			return {
				id: guest.id,
				name: guest.name,
				state: guestStanding(guest, inventory, now).state,
				moving: permit ? (out ? "out" : "in") : null,
				peerHostName: peer ? inventory.hostName(peer) : null,
			};
		})
		.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

function evacuationTask(row: EvacuationRow): Task {
	return {
		id: row.id,
		kind: "evacuation",
		title: `Evacuate ${row.host.name}`,
		amount: `${row.moved} of ${row.total}`,
		detail: row.reason,
		progress: row.total === 0 ? 0 : row.moved / row.total,
		remainingMs: row.remainingMs,
		href: `/evacuations/${row.id}`,
	};
}

function moveTask(move: MoveEntry, inventory: Inventory, now: number): Task {
	const remainingMs = remainingOf(move, now);
	return {
		id: move.id,
		kind: "migration",
		title: `${move.guestName} to ${inventory.hostName(move.targetHostId)}`,
		amount: remainingMs === null ? "" : `${formatDuration(remainingMs)} left`,
		detail: moveDetail(move),
		progress: progressOf(move.report),
		remainingMs,
		href: `/migrations/${move.id}`,
	};
}

function moveDetail({ report, state }: MoveEntry): string {
	if (state === "undoing") return "being called back; the guest runs on where it was";
	if (state === "inDoubt") return "handed over; the target has not answered yet";
	if (!report) return "waiting for the source's agent";
	const { phase, memory, disk, predictedDowntimeMs } = report;
	const pause = predictedDowntimeMs === null ? "" : ` · expected pause ${formatDuration(predictedDowntimeMs)}`;
	switch (phase) {
		case "prepareTarget":
			return "the target prepares";
		case "copyDisks":
			return disk
				? `copying disks · ${formatBytes(disk.transferredBytes)} of ${formatBytes(disk.totalBytes)}`
				: "copying disks";
		case "copyMemory":
			return memory
				? `copying memory, pass ${memory.passes + 1} · ${formatBytes(memory.remainingBytes)} left${pause}`
				: "copying memory";
		case "switchOver":
			return "switching over";
		case "handOver":
			return "handing over";
		case "retireSource":
			return "tidying up on the source";
	}
}

/** What only a person can decide. */
function decisionsOf(
	hosts: readonly HostEntry[],
	running: readonly EvacuationRow[],
	inventory: Inventory,
	now: number,
): Decision[] {
	const decisions: Decision[] = [];
	for (const host of hosts) {
		const evidence = { label: "Evidence", href: `/hosts/${host.id}` };
		if (host.quarantinedBecause) {
			decisions.push({
				id: `quarantine/${host.id}`,
				title: `Find the copy of ${host.name}`,
				detail: host.quarantinedBecause,
				link: { label: "Host", href: `/hosts/${host.id}` },
			});
		}
		for (const { id, finding, action, severity } of host.findings) {
			if (severity === "watch" || running.some((row) => row.host.id === host.id)) continue;
			const detail = host.mode === "normal" ? (action ?? finding.rule) : "kept out of service until you release it";
			decisions.push({ id, title: `Replace ${finding.component} in ${host.name}`, detail, link: evidence });
		}
		if (host.mode === "maintenance") {
			const left = inventory
				.guestsOf(host.id)
				.filter((guest) => guestStanding(guest, inventory, now).state === "running");
			const { blocked } = left.length > 0 ? planMaintenance(host.id, inventory, now) : { blocked: [] };
			for (const guest of left) {
				const refusal = blocked.find((row) => row.guest.id === guest.id)?.refusal;
				decisions.push({
					id: `left/${guest.id}`,
					title: refusal ? `${guest.name} cannot leave ${host.name}` : `${guest.name} is still on ${host.name}`,
					detail: refusal?.message ?? "it has a place now and is tried again by itself",
					link: { label: "Fix", href: `/guests/${guest.id}` },
				});
			}
		}
	}
	return decisions.slice(0, 20);
}
