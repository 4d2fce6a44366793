import { SternaError } from "@sterna/shared/errors";
import type { AgentContext, BackupService, RepositoryService, RestoreService, UpkeepService } from "./context.ts";

export interface SavingServices {
	repositories: RepositoryService;
	backups: BackupService;
	restores: RestoreService;
	upkeep: UpkeepService;
}

/** The four services of backups, in the order in which they build on one another. */
export function createSavingServices(context: AgentContext): {
	services: SavingServices;
	/** Takes up what an earlier life of the agent left: called once, after running guests were adopted. */
	resumeAll(): Promise<void>;
	/** Stops everything where it stands: the next life of the agent goes on with it. */
	close(): Promise<void>;
} {
	const services: SavingServices = {
		repositories: notBuilt(),
		backups: notBuilt(),
		restores: notBuilt(),
		upkeep: notBuilt(),
	};
	void context;
	return { services, resumeAll: async () => {}, close: async () => {} };
}

/** A service of which nothing is there yet: whatever is asked of it is refused. */
function notBuilt<Service extends object>(): Service {
	return new Proxy(Object.create(null), {
		get: (_, name) => () => {
			throw new SternaError("incompatible", `${String(name)} is not built into this agent yet`);
		},
	});
}
