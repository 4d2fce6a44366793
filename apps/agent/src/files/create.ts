import { randomUUID } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ReaderId } from "@sterna/repository/repository";
import type { AgentContext } from "../context.ts";
import type { Repositories } from "../repositories/repositories.ts";
import { openView, sessionPrefix } from "./opened-view.ts";
import { FilesService, removeLeftovers } from "./service.ts";

/** Long enough for a person to think between two folders. */
const idleMs = 5 * 60_000;

/** What looks into recovery points on this host, over the repositories that it works with. */
export function createFilesService(context: AgentContext, repositories: Pick<Repositories, "lease">): FilesService {
	const prefix = sessionPrefix(context.hostId);
	const swept = removeLeftovers(prefix).catch((err) =>
		context.log.warn({ err }, "sessions of an earlier life could not be removed"),
	);
	return new FilesService({
		idleMs,
		async open({ access, pointId, volumeId }) {
			await swept;
			const { probe } = await context.hypervisor.probe();
			const usable = probe.accelerator === "kvm";
			const group = usable ? (await stat("/dev/kvm")).gid : null;
			const { repository, release } = await repositories.lease(access);
			// What is looked into is not freed, whoever prunes it. A life that ends without a word is found dead by a collection.
			const readerId = ReaderId.parse(randomUUID());
			const letGo = () => repository.endReading(readerId).catch(() => {});
			try {
				const reader = await repository.openPoint(pointId, { readerId });
				const opened = await openView({
					reader,
					volumeId,
					prefix,
					cacheFolder: join(context.dataDir, "files"),
					kvm: { usable, group },
				});
				return {
					...opened,
					async close() {
						await opened.close();
						await letGo();
						release();
					},
				};
			} catch (error) {
				await letGo();
				release();
				throw error;
			}
		},
	});
}
