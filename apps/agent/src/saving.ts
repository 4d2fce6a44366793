import { SternaError } from "@sterna/shared/errors";
import type { Observe } from "./backups/observe.ts";
import { Runs } from "./backups/runs.ts";
import type { AgentContext, BackupService, RepositoryService, RestoreService, UpkeepService } from "./context.ts";
import { createFilesService } from "./files/create.ts";
import type { FilesService } from "./files/service.ts";
import type { Guests } from "./guests/lifecycle.ts";
import { beginLife } from "./migrations/life.ts";
import { Repositories } from "./repositories/repositories.ts";

export interface SavingServices {
	repositories: RepositoryService;
	backups: BackupService;
	restores: RestoreService;
	upkeep: UpkeepService;
	files: FilesService;
}

/** What fault tests change. */
export interface SavingTesting {
	observe?: Observe;
}

/** The services of backups, in the order in which they build on one another. */
export function createSavingServices(
	context: AgentContext,
	_guests: Guests,
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
	const services: SavingServices = { repositories, backups, restores: notBuilt(), upkeep: notBuilt(), files };
	return {
		services,
		async resumeAll() {
			await backups.resumeAll();
			for (const report of backups.reports()) context.announce.backupChanged(report);
		},
		async close() {
			life.end();
			await backups.close();
			await files.close();
			await repositories.close();
		},
	};
}

/** A service of which nothing is there yet: whatever is asked of it is refused. */
function notBuilt<Service extends object>(): Service {
	return new Proxy(Object.create(null), {
		get: (_, name) => () => {
			throw new SternaError("incompatible", `${String(name)} is not built into this agent yet`);
		},
	});
}
