import { join } from "node:path";
import { bitmapName } from "@sterna/backup/chain";
import { type BackupReport, endedTaskStates, type RepositoryAccess } from "@sterna/shared/backup";
import { newId, PointId, RepositoryId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { expect, test, vi } from "vitest";
import { completeConfig } from "../config.ts";
import type { AgentContext } from "../context.ts";
import { guestSpec, joinedServer, testConsole, testFolder } from "../fixtures/test-agent.ts";
import type { Guests } from "../guests/lifecycle.ts";
import { createSavingServices, type SavingServices } from "../saving.ts";

const options = { bytesPerSecond: null, freeze: false, readWhole: false };

interface Server {
	services: SavingServices;
	newRepository(name: string): Promise<RepositoryAccess>;
	backup(access: RepositoryAccess): Promise<BackupReport>;
	/** The points whose changes are tracked. */
	tracked(): Promise<string[]>;
}

/** A server with a guest that runs. */
async function server(): Promise<Server> {
	const { dataDir, start } = await joinedServer(await testConsole());
	const repositories = [
		{ name: "nas", path: await testFolder() },
		{ name: "other", path: await testFolder() },
	];
	const sysroot = join(dataDir, "sysroot");
	const made = Promise.withResolvers<{ context: AgentContext; guests: Guests; services: SavingServices }>();
	const { driver } = await start({
		config: completeConfig({ peerPort: 0, listenAddress: "127.0.0.1", sysroot, repositories }, dataDir),
		createSaving: (context, guests) => {
			const saving = createSavingServices(context, guests);
			made.resolve({ context, guests, services: saving.services });
			return saving;
		},
	});
	const { context, guests, services } = await made.promise;
	const guest = guestSpec();
	await guests.create(guest, 1);
	await guests.start(guest.id, 1);
	return {
		services,
		newRepository: async (name) => {
			const key = await formatRepositoryKey(new Uint8Array(32).fill(1));
			const access: RepositoryAccess = { repositoryId: newId(RepositoryId), place: { kind: "directory", name }, key };
			await services.repositories.create({ access });
			return access;
		},
		backup: async (access) => {
			const pointId = newId(PointId);
			await services.backups.start({ access, pointId, guestId: guest.id, epoch: 1, options });
			return vi.waitFor(
				() => {
					const report = services.backups.reports().find((one) => one.pointId === pointId);
					if (!report || !endedTaskStates.includes(report.state)) throw new Error(`it is ${report?.state}`);
					return report;
				},
				{ timeout: 60_000, interval: 10 },
			);
		},
		tracked: async () => {
			const [tracking] = await driver.changeTracking(guest.id, context.places.volumes(guest));
			return (tracking?.bitmaps ?? []).map(({ name }) => name).toSorted();
		},
	};
}

test("the changes since a point that was pruned are tracked no longer after the next run, those of other repositories are", async () => {
	const { services, newRepository, backup, tracked } = await server();
	const [access, other] = [await newRepository("nas"), await newRepository("other")];
	const older = await backup(access);
	const gone = await backup(access);
	const elsewhere = await backup(other);
	expect(await tracked()).toEqual([gone, elsewhere].map(({ pointId }) => bitmapName(pointId)).toSorted());
	await services.repositories.prune({ access, pointIds: [gone.pointId] });
	const next = await backup(access);
	expect(next).toMatchObject({ state: "completed", volumes: [{ read: "whole", reason: "lastPointGone" }] });
	expect(next.point?.parentPointId).toBe(older.pointId);
	expect(await tracked()).toEqual([next, elsewhere].map(({ pointId }) => bitmapName(pointId)).toSorted());
	expect(await backup(access)).toMatchObject({ volumes: [{ reason: "unchangedChain" }] });
	expect(await backup(other)).toMatchObject({ volumes: [{ reason: "unchangedChain" }] });
});

test("a guest can be saved again as soon as its run is told to have ended", async () => {
	const { newRepository, backup } = await server();
	const access = await newRepository("nas");
	for (let run = 0; run < 3; run++) expect(await backup(access)).toMatchObject({ state: "completed" });
});
