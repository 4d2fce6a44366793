import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { SimulatedHypervisor } from "@sterna/hypervisor/simulated/driver";
import { endedTaskStates, type RepositoryAccess, type RestoreReport } from "@sterna/shared/backup";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, PointId, RepositoryId, RestoreId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { MiB } from "@sterna/shared/units";
import { expect, vi } from "vitest";
import { completeConfig } from "../../config.ts";
import type { AgentContext } from "../../context.ts";
import { guestSpec, joinedServer, testConsole, testFolder } from "../../fixtures/test-agent.ts";
import type { Guests } from "../../guests/lifecycle.ts";
import { createSavingServices, type SavingServices } from "../../saving.ts";

export interface Life {
	context: AgentContext;
	guests: Guests;
	services: SavingServices;
	driver: SimulatedHypervisor;
	/** Acts as soon as a journal has that line: `placing`, `phaseBegan:boot`. */
	at(line: string, act: () => void): void;
	/** As a kill: nothing more is done by this life. */
	die(): never;
	/** Fulfilled when nothing of it moves any more. */
	died: Promise<void>;
	close(): Promise<void>;
}

/** A server with a folder for backups, in one life of its agent after the other. */
export async function server() {
	const { dataDir, start, reboot } = await joinedServer(await testConsole());
	// In a folder of its own, so that it is removed with it also when it was put away.
	const nas = join(await testFolder(), "nas");
	await mkdir(nas);
	const repositories = [{ name: "nas", path: nas }];
	const sysroot = join(dataDir, "sysroot");
	const config = completeConfig({ peerPort: 0, listenAddress: "127.0.0.1", sysroot, repositories }, dataDir);
	const live = async (prepare: (guests: Guests) => void = () => {}) => {
		const made = Promise.withResolvers<Omit<Life, "driver" | "close">>();
		const agent = await start({
			config,
			createSaving: (context, guests) => {
				const saving = createSavingServices(context, guests, {
					observe: async (entry) => onLine("phase" in entry ? `${entry.type}:${entry.phase}` : entry.type),
				});
				let onLine: (line: string) => void = () => {};
				const dead = Promise.withResolvers<void>();
				const die = (): never => {
					void saving.close().then(dead.resolve);
					throw new Error("killed");
				};
				const at = (line: string, act: () => void) => {
					onLine = (written) => written === line && act();
				};
				prepare(guests);
				made.resolve({ context, guests, services: saving.services, at, die, died: dead.promise });
				return saving;
			},
		});
		return { ...(await made.promise), driver: agent.driver, close: () => agent.close() };
	};
	const pool = async () => (await readdir(join(dataDir, "pools", "local"))).sort();
	/** Who holds points in the repository, by id. */
	const readers = async () => readdir(join(nas, "readers")).catch(() => []);
	return { live, pool, readers, reboot, nas };
}

export async function savedPoint({ guests, services }: Life) {
	const key = await formatRepositoryKey(new Uint8Array(32).fill(1));
	const access: RepositoryAccess = {
		repositoryId: newId(RepositoryId),
		place: { kind: "directory", name: "nas" },
		key,
	};
	await services.repositories.create({ access });
	const saved = guestSpec({ volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: 2 * MiB }] });
	await guests.create(saved, 1);
	await guests.start(saved.id, 1);
	const pointId = newId(PointId);
	const options = { bytesPerSecond: null, freeze: false, readWhole: false };
	await services.backups.start({ access, pointId, guestId: saved.id, epoch: 1, options });
	await vi.waitFor(
		() => expect(services.backups.reports().find((one) => one.pointId === pointId)?.state).toBe("completed"),
		60_000,
	);
	await guests.powerOff(saved.id, 1);
	return { access, pointId, saved };
}

export type Order = ReturnType<typeof orderOf>;

/** A restore of the point to a guest that is not here yet. */
export function orderOf(
	{ access, pointId, saved }: Awaited<ReturnType<typeof savedPoint>>,
	mode: "instant" | "copy" = "instant",
) {
	const id = newId(GuestId);
	const volumes = saved.volumes.map((volume) => ({ ...volume, id: newId(VolumeId) }));
	const spec = GuestSpec.parse({ ...saved, id, name: `back-${id.slice(0, 8)}`, nics: [], volumes });
	const pairs = saved.volumes.map((volume, index) => ({ from: volume.id, to: volumes[index]?.id ?? volume.id }));
	const what = { access, pointId, spec, epoch: 1, volumes: pairs, check: null, start: true };
	return { ...what, restoreId: newId(RestoreId), mode };
}

export const reportOf = ({ services }: Life, restoreId: RestoreId) =>
	services.restores.reports().find((report) => report.restoreId === restoreId);
export const ended = (life: Life, restoreId: RestoreId): Promise<RestoreReport> =>
	vi.waitFor(
		() => {
			const report = reportOf(life, restoreId);
			if (!report || !endedTaskStates.includes(report.state)) throw new Error(`it is ${JSON.stringify(report)}`);
			return report;
		},
		{ timeout: 60_000, interval: 10 },
	);
/** The whole truth about a restore that ended: its guest is whole here, or as if it had never been. */
export async function expectNothingLeft(life: Life, order: Order, before: string[], pool: () => Promise<string[]>) {
	expect(life.guests.view(order.spec.id)).toBeNull();
	expect(life.context.holds.refusal(order.spec.id, "start")).toBeNull();
	expect(await pool()).toEqual(before);
}

/** Fulfilled when something that the restored guest wrote is in its volumes. */
export async function writes({ driver }: Life, { spec }: Order) {
	await expect.poll(async () => (await driver.stats(spec.id)).diskWrites).toBeGreaterThan(0);
	// A simulated guest's volumes have what it counted whenever its state changes.
	await driver.pause(spec.id);
	await driver.resume(spec.id);
}

/** Begins it in a life that is going to end, and waits for that end. */
export async function cutOff(life: Life, order: Order, line?: string) {
	if (line) life.at(line, life.die);
	await life.services.restores.start(order).catch(() => {});
	await life.died;
	await life.close();
}
