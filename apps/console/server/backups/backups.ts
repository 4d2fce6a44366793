import { join } from "node:path";
import type { BackupReport, RestoreReport, UpkeepReport } from "@sterna/shared/backup";
import type { HostId } from "@sterna/shared/ids";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import { Catalogue } from "./catalogue.ts";
import { Downloads } from "./downloads.ts";
import { Drills } from "./drills.ts";
import { Jobs } from "./jobs.ts";
import { ScheduleClock } from "./parts.ts";
import { Protections } from "./protection.ts";
import { Reach } from "./reach.ts";
import { Repositories } from "./repositories.ts";
import { Restores } from "./restores.ts";
import { RetentionKeeper } from "./retention-keeper.ts";
import { Runs } from "./runs.ts";
import { Scheduler } from "./scheduler.ts";
import { Upkeep } from "./upkeep.ts";
import { Vault } from "./vault.ts";

/** Everything of the console that saves guests. */
export interface Backups {
	readonly clock: ScheduleClock;
	readonly repositories: Repositories;
	readonly reach: Reach;
	readonly catalogue: Catalogue;
	readonly jobs: Jobs;
	readonly runs: Runs;
	readonly scheduler: Scheduler;
	readonly retention: RetentionKeeper;
	readonly upkeep: Upkeep;
	readonly restores: Restores;
	readonly protections: Protections;
	readonly downloads: Downloads;
	/** What is looked after every second, in order; agents are not waited for. */
	readonly ticks: readonly (() => Promise<void>)[];
	/** What a host says of its tasks. False: it is not its to say. */
	reported(hostId: HostId, report: TaskReport): Promise<boolean>;
	/** A host has told its whole state: tasks that it does not name are over. */
	settle(hostId: HostId, known: ReadonlySet<string>): Promise<void>;
	/** A host is there, and was not given anything yet. */
	connected(hostId: HostId): void;
	/** A host has gone. */
	disconnected(hostId: HostId): void;
}

export type TaskReport =
	| { kind: "backup"; report: BackupReport }
	| { kind: "restore"; report: RestoreReport }
	| { kind: "upkeep"; report: UpkeepReport };

/** Opens the vault and loads what an earlier life of the console left: all of it goes on where it was. */
export async function openBackups({
	core,
	hub,
	dataDir,
}: {
	core: Core;
	hub: AgentHub;
	dataDir: string;
}): Promise<Backups> {
	const clock = new ScheduleClock(core.now);
	const base = { core, hub, clock, vault: Vault.open(join(dataDir, "backup.secret")) };
	const repositories = new Repositories(base);
	const reach: Reach = new Reach(base, repositories, (entry) => void catalogue.syncIfDifferent(entry));
	const catalogue: Catalogue = new Catalogue(base, repositories, reach);
	const jobs = new Jobs(base, repositories);
	const parts = { ...base, repositories, reach, catalogue, jobs };
	const restores = new Restores(parts);
	const retention = new RetentionKeeper(parts, () => restores.pointsInUse());
	const runs = new Runs(parts, async (run) => {
		if (run.hostId) reach.changed(run.hostId, { id: run.repositoryId });
		await retention.applyTo(run.guestId);
	});
	const scheduler = new Scheduler({ ...parts, runs }, () =>
		restores.open().map(({ targetGuestId: guestId, hostId, repositoryId }) => ({ guestId, hostId, repositoryId })),
	);
	const upkeep = new Upkeep(parts);
	const drills = new Drills({ ...parts, runs, restores });
	const protections = new Protections(parts);
	const downloads = new Downloads(parts, join(dataDir, "downloads"));
	for (const loaded of [repositories, jobs, runs, restores, upkeep]) await loaded.load();
	await downloads.clear();
	await protections.look();
	return {
		...{
			clock,
			repositories,
			reach,
			catalogue,
			jobs,
			runs,
			scheduler,
			retention,
			upkeep,
			restores,
			protections,
			downloads,
		},
		ticks: [
			() => reach.tick(),
			() => scheduler.tick(),
			() => restores.tick(),
			() => upkeep.tick(),
			() => drills.tick(),
			() => retention.tick(),
			() => protections.tick(),
		],
		reported: (hostId, { kind, report }) => {
			switch (kind) {
				case "backup":
					return runs.reported(hostId, report);
				case "restore":
					return restores.reported(hostId, report);
				case "upkeep":
					return upkeep.reported(hostId, report);
			}
		},
		settle: async (hostId, known) => {
			const kinds = [runs, restores, upkeep].map((tasks) => tasks.settleUnknown(hostId, known));
			// Thrown, so that the host is asked for its whole state again: a task that it has lost would be under way for ever.
			for (const outcome of await Promise.allSettled(kinds)) if (outcome.status === "rejected") throw outcome.reason;
		},
		connected: (hostId) => {
			for (const tasks of [runs, restores, upkeep]) tasks.connected(hostId);
		},
		disconnected: (hostId) => {
			reach.forget(hostId);
			for (const tasks of [runs, restores, upkeep]) tasks.disconnected(hostId);
		},
	};
}
