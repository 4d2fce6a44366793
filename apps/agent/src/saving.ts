import type { RunEntry } from "@sterna/backup/run-journal";
import { Runs } from "./backups/runs.ts";
import type { AgentContext, BackupService, RepositoryService, RestoreService, UpkeepService } from "./context.ts";
import { createFilesService } from "./files/create.ts";
import type { FilesService } from "./files/service.ts";
import type { Guests } from "./guests/lifecycle.ts";
import { beginLife } from "./migrations/life.ts";
import { Repositories } from "./repositories/repositories.ts";
import type { RestoreEntry } from "./restores/journal.ts";
import { Restores } from "./restores/restores.ts";
import { Upkeep } from "./upkeep/upkeep.ts";

export interface SavingServices {
	repositories: RepositoryService;
	backups: BackupService;
	restores: RestoreService;
	upkeep: UpkeepService;
	files: FilesService;
}

/** What fault tests change. */
export interface SavingTesting {
	/** Told of every line of a journal, once it is durable: where a fault test stops the agent. */
	observe?: (entry: RunEntry | RestoreEntry) => Promise<void>;
}

/** The services of backups, in the order in which they build on one another. */
export function createSavingServices(
	context: AgentContext,
	guests: Guests,
	testing: SavingTesting = {},
): {
	services: SavingServices;
	/** Takes up what an earlier life of the agent left: called once, after running guests were adopted. */
	resumeAll(): Promise<void>;
	/** Stops everything where it stands: the next life of the agent goes on with it. */
	close(): Promise<void>;
} {
	const { observe = async () => {} } = testing;
	const life = beginLife();
	const repositories = new Repositories(context);
	const backups = new Runs({ context, repositories, life, observe });
	const files = createFilesService(context, repositories);
	const restores = new Restores({ context, repositories, guests, life, observe });
	const upkeep = new Upkeep({ context, repositories, life });
	return {
		services: { repositories, backups, restores, upkeep, files },
		async resumeAll() {
			await backups.resumeAll();
			await restores.resumeAll();
			for (const report of backups.reports()) context.announce.backupChanged(report);
			for (const report of restores.reports()) context.announce.restoreChanged(report);
		},
		async close() {
			life.end();
			await Promise.all([backups.close(), restores.close(), upkeep.close()]);
			await files.close();
			await repositories.close();
		},
	};
}
