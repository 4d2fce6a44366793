import { and, asc, desc, eq, isNotNull } from "drizzle-orm";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { RepositoryPlaceOffer, RepositoryRow, RepositoryView } from "../views-backups.ts";
import type { Backups } from "./backups.ts";
import { daysUntilFull, growthOf, healthOfRepository } from "./growth.ts";
import type { RepositoryEntry } from "./repositories.ts";
import type { UpkeepEntry } from "./upkeep.ts";

const shownUpkeeps = 30;
const shownDays = 365;

export async function repositoryRow(core: Core, backups: Backups, entry: RepositoryEntry): Promise<RepositoryRow> {
	const { clock, reach, upkeep, runs, restores } = backups;
	const now = clock.now();
	const samples = await core.db
		.select()
		.from(tables.repositoryUsage)
		.where(eq(tables.repositoryUsage.repositoryId, entry.id))
		.orderBy(desc(tables.repositoryUsage.day))
		.limit(30);
	const growthBytesPerDay = growthOf(
		samples.map(({ usage }) => usage),
		core.now(),
	);
	const { usage } = entry;
	const days = daysUntilFull(usage?.freeBytes ?? null, growthBytesPerDay);
	const latest = await latestUpkeeps(core, entry);
	const scrub = latest.find(({ kind, state }) => kind === "scrub" && state === "completed");
	const canary = latest.find(({ kind, endedAt }) => kind === "canary" && endedAt !== null);
	const { recoveryPoints } = tables;
	const damagedPoints = await core.db.$count(
		recoveryPoints,
		and(eq(recoveryPoints.repositoryId, entry.id), isNotNull(recoveryPoints.damage)),
	);
	const { health, sentence } = healthOfRepository({
		...{ whyNobody: reach.whyNobody(entry), damages: entry.damages.length, damagedPoints },
		...{ freeBytes: usage?.freeBytes ?? null, capacityBytes: usage?.capacityBytes ?? null, daysUntilFull: days },
		keyConfirmed: entry.keyConfirmedAt !== null,
		canaryFailure: canary?.state === "failed" && canary.error?.code === "wrong_state" ? canary.error.message : null,
		scrubAgeMs: scrub?.endedAt ? now - scrub.endedAt : null,
		ageMs: now - entry.createdAt,
	});
	return {
		...{
			id: entry.id,
			name: entry.name,
			kind: entry.kind,
			place: entry.placeText,
			health,
			healthSentence: sentence,
			usage,
		},
		dedupRatio: usage && usage.storedBytes > 0 && usage.points > 0 ? usage.logicalBytes / usage.storedBytes : null,
		...{ growthBytesPerDay, daysUntilFull: days },
		lastScrubAt: scrub?.endedAt ?? null,
		lastCollectAt: latest.find(({ kind, state }) => kind === "collect" && state === "completed")?.endedAt ?? null,
		running: [
			...runs
				.active()
				.filter(({ repositoryId }) => repositoryId === entry.id)
				.map(({ pointId }) => ({ id: pointId, kind: "backup" as const })),
			...restores
				.open()
				.filter(({ repositoryId }) => repositoryId === entry.id)
				.map(({ id }) => ({ id, kind: "restore" as const })),
			...upkeep.open(entry.id).map(({ id, kind }) => ({ id, kind })),
		],
	};
}

export async function repositoryView(core: Core, backups: Backups, entry: RepositoryEntry): Promise<RepositoryView> {
	const { inventory, db } = core;
	const { reach, jobs } = backups;
	const history = await db
		.select()
		.from(tables.repositoryUsage)
		.where(eq(tables.repositoryUsage.repositoryId, entry.id))
		.orderBy(desc(tables.repositoryUsage.day))
		.limit(shownDays);
	const upkeeps = await db
		.select()
		.from(tables.upkeeps)
		.where(eq(tables.upkeeps.repositoryId, entry.id))
		.orderBy(desc(tables.upkeeps.startedAt))
		.limit(shownUpkeeps);
	const canary = (await latestUpkeeps(core, entry)).find(({ kind, endedAt }) => kind === "canary" && endedAt !== null);
	return {
		...(await repositoryRow(core, backups, entry)),
		...{ createdAt: entry.createdAt, keyConfirmed: entry.keyConfirmedAt !== null },
		hosts: reach.hostsOf(entry).map((id) => ({ id, name: inventory.hostName(id) })),
		history: history
			.reverse()
			.map(({ usage: { at, storedBytes, logicalBytes } }) => ({ at, storedBytes, logicalBytes })),
		damages: entry.damages,
		upkeeps: upkeeps.map((round) => ({
			...reportOf(round),
			host: { id: round.hostId, name: inventory.hostName(round.hostId) },
		})),
		...{ scrubCron: entry.scrubCron, scrubTimeZone: entry.scrubTimeZone },
		lockDays: entry.kind === "s3" ? entry.lockDays : null,
		canaryAt: canary?.endedAt ?? null,
		canarySentence: canary ? (canary.error?.message ?? canary.report?.result ?? "it could not be deleted") : null,
		jobs: jobs
			.all()
			.filter(({ spec }) => spec.repositoryId === entry.id)
			.map(({ id, name }) => ({ id, name })),
	};
}

/** Folders that connected hosts offer, each with the hosts that have one of that name. */
export function placeOffers({ inventory }: Core): RepositoryPlaceOffer[] {
	const offers = new Map<string, RepositoryPlaceOffer>();
	for (const { id, name: hostName, connected, facts } of inventory.hosts.values()) {
		if (!connected) continue;
		for (const { name, capacityBytes, freeBytes } of facts?.repositoryFolders ?? []) {
			const offer = offers.get(name) ?? { name, hosts: [], capacityBytes, freeBytes };
			offer.hosts.push({ id, name: hostName });
			if (capacityBytes > offer.capacityBytes) Object.assign(offer, { capacityBytes, freeBytes });
			offers.set(name, offer);
		}
	}
	return [...offers.values()].sort((a, b) => a.name.localeCompare(b.name, "en"));
}

/** The last rounds of each kind, newest first. */
async function latestUpkeeps({ db }: Core, entry: RepositoryEntry): Promise<UpkeepEntry[]> {
	const { upkeeps } = tables;
	const rounds = await db
		.selectDistinctOn([upkeeps.kind, upkeeps.state])
		.from(upkeeps)
		.where(eq(upkeeps.repositoryId, entry.id))
		.orderBy(asc(upkeeps.kind), asc(upkeeps.state), desc(upkeeps.startedAt));
	return rounds.sort((a, b) => b.startedAt - a.startedAt);
}

/** A round as its agent told it, or as it was recorded before the agent answered. */
function reportOf(round: UpkeepEntry) {
	const { id: upkeepId, kind, repositoryId, hostId, state, startedAt, endedAt, error } = round;
	const untold = { generation: 0, totalBytes: 0, doneBytes: 0, freedBytes: 0, damages: [], result: null };
	return {
		...untold,
		...round.report,
		upkeepId,
		kind,
		repositoryId,
		hostId,
		state,
		startedAt,
		endedAt,
		error: error ?? round.report?.error ?? null,
	};
}
