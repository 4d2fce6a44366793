import { join } from "node:path";
import { ReaderId } from "@sterna/repository/format/records";
import type { RepositoryAccess } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { AgentContext } from "../context.ts";
import type { Guests } from "../guests/lifecycle.ts";
import type { Repositories } from "../repositories/repositories.ts";
import type { RestoreHold } from "./hold.ts";
import type { RestoreFacts } from "./journal.ts";
import type { RestoreTask } from "./task.ts";

/** What the three ways of bringing a guest back build on. */
export interface RestoreNeeds {
	context: AgentContext;
	repositories: Repositories;
	guests: Guests;
	task: RestoreTask;
	/** The newest that was given. @throws {SternaError} `not_found` when none was kept. */
	readonly access: RepositoryAccess;
	/** Cancelled, or this agent ends. */
	signal: AbortSignal;
	/** Nobody but the restore touches the guest, from its beginning and until its undo is done. */
	hold: RestoreHold;
}

/** Short: it is in the run folder, whose length the driver has checked for its own, longer names. */
export function socketPath(context: AgentContext, facts: RestoreFacts): string {
	return join(context.dataDir, "run", `r-${facts.restoreId}`);
}

/**
 * The volumes of the point fit those of the spec. From here on the point is held in the repository, until `endReading`.
 * @throws {SternaError} `not_found`, `invalid`; those of the repository.
 */
export async function checkPoint({ repositories, access, task }: RestoreNeeds): Promise<number> {
	const { pointId, restoreId, volumes, spec } = task.facts;
	return repositories.use(access, async (repository) => {
		const reader = await repository.openPoint(pointId, { readerId: ReaderId.parse(restoreId) });
		const { point } = reader;
		await reader.close();
		let totalBytes = 0;
		for (const { from, to } of volumes) {
			const saved = point.volumes.find(({ volumeId }) => volumeId === from);
			const wanted = spec.volumes.find(({ id }) => id === to);
			if (!saved) throw new SternaError("not_found", `the recovery point has no volume ${from}`);
			if (!wanted) throw new SternaError("invalid", `the guest to be has no volume ${to}`);
			if (wanted.sizeBytes < saved.sizeBytes) {
				throw new SternaError("invalid", `volume ${to} is smaller than what is to be restored into it`, {
					cure: `give it at least ${saved.sizeBytes} bytes`,
				});
			}
			totalBytes += saved.sizeBytes;
		}
		return totalBytes;
	});
}
