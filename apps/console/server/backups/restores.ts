import { type DrillCheck, endedTaskStates, type RestoreReport } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { BackupJobId, GuestId, HostId, PointId } from "@sterna/shared/ids";
import { newId, RestoreId } from "@sterna/shared/ids";
import { and, eq, isNull } from "drizzle-orm";
import * as tables from "../db/schema.ts";
import { isUnheard } from "../guests/existence.ts";
import { whyNeverBack } from "../inventory/never-back.ts";
import type { RestoreRequest } from "../views-backups.ts";
import { type Catalogue, objectsOf, type PointEntry } from "./catalogue.ts";
import { whoGaveUp } from "./give-up.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import type { Repositories, RepositoryEntry } from "./repositories.ts";
import { endOf, refuseCancel, wordOf } from "./restore-end.ts";
import { type PlannedRestore, planDrill, planRestore } from "./restore-plan.ts";
import { RestoreTargets } from "./restore-targets.ts";
import { TaskReports } from "./task-reports.ts";

export type RestoreEntry = typeof tables.restores.$inferSelect;

const startTimeoutMs = 60_000;
/** One that waits is given the repository's key again after this. */
const accessAgainMs = 30_000;

/**
 * Brings guests back. The guest to be and the restore are recorded together before the agent is asked; the order is
 * repeated until it is answered; what the restore made goes again when it fails.
 */
export class Restores {
	readonly #parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue };
	readonly #targets: RestoreTargets;
	readonly #open = new Map<RestoreId, RestoreEntry>();
	readonly #reports = new TaskReports(this.#open);
	readonly #sending = new Set<RestoreId>();
	/** When the key was given again to one that waits, in this connection of its host. */
	readonly #accessSentAt = new Map<RestoreId, number>();

	constructor(parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue }) {
		this.#parts = parts;
		this.#targets = new RestoreTargets(parts);
	}

	async load(): Promise<void> {
		const rows = await this.#parts.core.db.select().from(tables.restores).where(isNull(tables.restores.endedAt));
		for (const row of rows) this.#open.set(row.id, row);
	}

	open(): RestoreEntry[] {
		return [...this.#open.values()];
	}

	/** Points that must not go away now. */
	pointsInUse(): ReadonlySet<PointId> {
		return new Set(this.open().map(({ pointId }) => pointId));
	}

	/** @throws {SternaError} `not_found`. */
	async get(id: RestoreId): Promise<RestoreEntry> {
		const open = this.#open.get(id);
		if (open) return open;
		const [row] = await this.#parts.core.db.select().from(tables.restores).where(eq(tables.restores.id, id));
		if (!row) throw new SternaError("not_found", `there is no restore ${id}`);
		return row;
	}

	async plan(request: RestoreRequest): Promise<{ point: PointEntry; planned: PlannedRestore }> {
		const { catalogue, reach, repositories } = this.#parts;
		const point = await catalogue.get(request.pointId);
		await reach.known(repositories.get(point.repositoryId));
		return { point, planned: planRestore(request, this.#facts(point)) };
	}

	/** @throws {SternaError} the plan's first refusal; what the agent refused. Nothing is left then. */
	async start(request: RestoreRequest, actor: string): Promise<RestoreEntry> {
		const { point, planned } = await this.plan(request);
		return this.#begin(planned, {
			point,
			mode: request.mode,
			check: null,
			start: request.start || request.mode === "instant",
			actor,
			jobId: null,
		});
	}

	/** Proves the point by booting it. @throws as `start`. */
	async drill(point: PointEntry, check: DrillCheck, actor: string, jobId: BackupJobId | null): Promise<RestoreEntry> {
		await this.#parts.reach.known(this.#parts.repositories.get(point.repositoryId));
		const planned = planDrill(this.#facts(point));
		return this.#begin(planned, { point, mode: "drill", check, start: true, actor, jobId });
	}

	/** Where a drill of the point would run now; null when no host has room. */
	drillHost(point: PointEntry): HostId | null {
		const { hostId, refusals } = planDrill(this.#facts(point));
		return refusals.length === 0 ? hostId : null;
	}

	/** Asks again for what was not answered, and ends what is at a host that never comes back. Agents are not waited for. */
	async tick(): Promise<void> {
		const { core, hub } = this.#parts;
		for (const restore of this.open()) {
			if (!hub.isConnected(restore.hostId)) {
				const because = whyNeverBack(core.inventory.host(restore.hostId));
				if (because) await this.#fail(restore, because).catch((err) => this.#log(restore, err));
			} else if (!restore.acknowledged) void this.#send(restore).catch((err) => this.#log(restore, err));
			else if (restore.cancelRequested) void this.#sendCancel(restore).catch((err) => this.#log(restore, err));
			else if (restore.state === "waiting" && this.#isAccessDue(restore)) {
				void this.#sendAccess(restore).catch((err) => this.#log(restore, err));
			}
		}
	}

	/** @throws {SternaError} `conflict` while restores or drills read from the repository: they have its present key. */
	refuseWhileReading(repository: RepositoryEntry): void {
		const reading = this.open().filter(({ repositoryId }) => repositoryId === repository.id);
		if (reading.length === 0) return;
		const names = reading.slice(0, 3).map((restore) => `the ${wordOf(restore)} of ${restore.guestName}`);
		const all = `${names.join(", ")}${reading.length > 3 ? ` and ${reading.length - 3} more` : ""}`;
		throw new SternaError(
			"conflict",
			`the key of ${repository.name} is not replaced while it is read with it: ${all}`,
			{
				cure: "let them finish, or cancel them first",
			},
		);
	}

	/** @throws {SternaError} `wrong_state` when it has ended. */
	async cancel(restore: RestoreEntry, actor: string): Promise<void> {
		const refusal = refuseCancel(restore);
		if (refusal)
			throw new SternaError("wrong_state", `the restore of ${restore.targetName} is not cancelled: ${refusal}`);
		await this.#change(restore, { cancelRequested: true });
		await this.#tell(
			restore,
			"restore.cancelRequested",
			actor,
			`${actor} cancelled the ${wordOf(restore)} of ${restore.guestName}`,
		);
		if (this.#parts.hub.isConnected(restore.hostId)) await this.#sendCancel(restore);
	}

	/** @throws {SternaError} `not_found` where there is no picture. */
	async screenshot(restore: RestoreEntry): Promise<string> {
		if (!restore.report?.hasScreenshot)
			throw new SternaError("not_found", "this restore has no picture of the guest's screen");
		const { png } = await this.#parts.hub.call(restore.hostId, "restore.screenshot", { restoreId: restore.id });
		return png;
	}

	/** What an agent says of a restore. False: it is not its to say. */
	reported(hostId: HostId, report: RestoreReport): Promise<boolean> {
		return this.#reports.take(hostId, report.restoreId, report.generation, () => this.#take(hostId, report));
	}

	/** A host is there, and was not given anything yet. */
	connected(hostId: HostId): void {
		this.#reports.connected(hostId);
	}

	/** A host has gone. */
	disconnected(hostId: HostId): void {
		this.#reports.disconnected(hostId);
		for (const { id, hostId: on } of this.open()) if (on === hostId) this.#accessSentAt.delete(id);
	}

	async #take(hostId: HostId, report: RestoreReport): Promise<boolean> {
		const restore = this.#open.get(report.restoreId);
		if (!restore) return endedTaskStates.includes(report.state) || this.#wasOn(hostId, report.restoreId);
		const { pointId, targetGuestId, mode } = restore;
		if (
			restore.hostId !== hostId ||
			report.pointId !== pointId ||
			report.guestId !== targetGuestId ||
			report.mode !== mode
		)
			return false;
		if (endedTaskStates.includes(report.state)) {
			await this.#end(restore, report.state, report.error, report);
			return true;
		}
		await this.#change(restore, { acknowledged: true, state: report.state, report });
		// From here on the new guest is one like any other, although its data still streams in.
		if (restore.mode === "instant" && report.bootedAfterMs !== null) await this.#targets.release(restore);
		return true;
	}

	/** After a host's snapshot: a restore that it does not know any more is over. */
	async settleUnknown(hostId: HostId, known: ReadonlySet<string>): Promise<void> {
		for (const restore of this.#reports.lost(hostId, known)) {
			await this.#fail(restore, { code: "unavailable", message: "the host knows nothing of it any more" });
		}
	}

	async #begin(
		planned: PlannedRestore,
		request: {
			point: PointEntry;
			mode: RestoreEntry["mode"];
			check: DrillCheck | null;
			start: boolean;
			actor: string;
			jobId: BackupJobId | null;
		},
	): Promise<RestoreEntry> {
		const { core, clock, catalogue } = this.#parts;
		const { point, mode, check, start, actor, jobId } = request;
		const [refusal] = planned.refusals;
		const { hostId, spec } = planned;
		if (refusal) throw new SternaError(refusal.code, refusal.message, refusal.cure ? { cure: refusal.cure } : {});
		if (!hostId) throw new SternaError("no_capacity", `no host can restore ${point.guestName}`);
		const host = core.inventory.hostName(hostId);
		const restore = await core.db.transaction(async (tx) => {
			await catalogue.hold(tx, point.id);
			const epoch = await this.#targets.claim(tx, planned, hostId, actor);
			const [row] = await tx
				.insert(tables.restores)
				.values({
					...{
						id: newId(RestoreId),
						mode,
						pointId: point.id,
						pointTakenAt: point.takenAt,
						repositoryId: point.repositoryId,
					},
					...{ guestId: point.guestId, guestName: point.guestName, targetGuestId: spec.id, targetName: spec.name },
					...{ targetKind: planned.kind, hostId, epoch, spec, volumes: planned.volumes, check, start, jobId },
					...{ state: "running" as const, requestedBy: actor, startedAt: clock.now() },
				})
				.returning();
			if (!row) throw new SternaError("internal", "the restore was not recorded");
			const sentence =
				mode === "drill"
					? `The backup of ${point.guestName} is being proved on ${host}`
					: `${actor} began to restore ${planned.kind === "disk" ? `a disk of ${point.guestName} into ${spec.name}` : `${point.guestName} ${planned.kind === "new" ? `as ${spec.name}` : "over itself"}`} on ${host}`;
			await core.events.append(
				{
					...{ kind: mode === "drill" ? "drill.started" : "restore.started", actor, sentence },
					objects: [
						...objectsOf(point),
						{ type: "guest", id: spec.id, name: spec.name },
						{ type: "restore", id: row.id, name: spec.name },
					],
					evidence: { spec, mode, hosts: planned.hosts, takenAt: point.takenAt },
				},
				tx,
			);
			return row;
		});
		await this.#targets.claimed(restore, planned);
		this.#open.set(restore.id, restore);
		this.#touch(restore);
		await this.#send(restore);
		return restore;
	}

	/** @throws {SternaError} what the agent refused; the restore has ended then. A lost answer is no error. */
	async #send(restore: RestoreEntry): Promise<void> {
		if (this.#sending.has(restore.id)) return;
		this.#sending.add(restore.id);
		try {
			const report = await this.#order(restore);
			await this.#change(restore, { acknowledged: true });
			await this.reported(restore.hostId, report);
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (isUnheard(error)) return this.#log(restore, error);
			await this.#fail(restore, error.toWire());
			throw error;
		} finally {
			this.#sending.delete(restore.id);
		}
	}

	#order(restore: RestoreEntry): Promise<RestoreReport> {
		const { hub, repositories } = this.#parts;
		const { id: restoreId, mode, pointId, spec, epoch, volumes, check, start } = restore;
		const access = repositories.accessOf(repositories.get(restore.repositoryId));
		const order = { access, restoreId, mode, pointId, spec, epoch, volumes, check, start };
		return hub.call(restore.hostId, "restore.start", order, { timeoutMs: startTimeoutMs });
	}

	#isAccessDue({ id }: RestoreEntry): boolean {
		return Math.abs(this.#parts.core.now() - (this.#accessSentAt.get(id) ?? 0)) > accessAgainMs;
	}

	/** The order again, for its access: an agent that was started again may have lost the key, or have one that is replaced. */
	async #sendAccess(restore: RestoreEntry): Promise<void> {
		this.#accessSentAt.set(restore.id, this.#parts.core.now());
		await this.reported(restore.hostId, await this.#order(restore));
	}

	async #sendCancel(restore: RestoreEntry): Promise<void> {
		try {
			await this.reported(
				restore.hostId,
				await this.#parts.hub.call(restore.hostId, "restore.cancel", { restoreId: restore.id }),
			);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#log(restore, error);
			if (error.code !== "wrong_state") return;
			await this.#change(restore, { cancelRequested: false });
			throw error;
		}
	}

	/** What was not reported: it fails in its turn. */
	#fail(restore: RestoreEntry, error: RestoreEntry["error"]): Promise<void> {
		return this.#reports.inTurn(restore.id, () => this.#end(restore, "failed", error, null));
	}

	/** A word about a restore that has ended here meanwhile; it is no news, but it is no lie either. */
	async #wasOn(hostId: HostId, id: RestoreId): Promise<boolean> {
		const { restores } = tables;
		return (await this.#parts.core.db.$count(restores, and(eq(restores.id, id), eq(restores.hostId, hostId)))) > 0;
	}

	async #end(
		restore: RestoreEntry,
		state: RestoreEntry["state"],
		error: RestoreEntry["error"],
		report: RestoreReport | null,
	): Promise<void> {
		if (!this.#open.has(restore.id)) return;
		const { clock, core } = this.#parts;
		const actor = (report?.givenUp ? await whoGaveUp(core, restore) : null) ?? restore.requestedBy;
		// One that was given up leaves its guest, with disks that its host does not start it from.
		if (report?.givenUp) await this.#targets.release(restore);
		else await this.#targets.settle(restore, { succeeded: state === "completed" });
		await this.#change(restore, {
			state,
			error,
			endedAt: clock.now(),
			acknowledged: true,
			...(report ? { report } : {}),
		});
		this.#open.delete(restore.id);
		this.#accessSentAt.delete(restore.id);
		const { kind, sentence, evidence } = endOf(restore, state, report);
		await this.#tell(restore, kind, actor, sentence, {
			...{ why: error?.message ?? null, severity: state === "failed" ? "degraded" : null },
			evidence: { ...evidence, error },
		});
	}

	#facts(point: PointEntry) {
		const { core, repositories, reach } = this.#parts;
		const repository = repositories.get(point.repositoryId);
		return {
			inventory: core.inventory,
			point,
			repository,
			obstacle: (hostId: HostId) => reach.obstacle(hostId, repository),
			now: core.now(),
		};
	}

	async #change(restore: RestoreEntry, values: Partial<RestoreEntry>): Promise<void> {
		await this.#parts.core.db.update(tables.restores).set(values).where(eq(tables.restores.id, restore.id));
		Object.assign(restore, values);
		this.#touch(restore);
	}

	#touch({ id, guestId, targetGuestId, repositoryId, pointId }: RestoreEntry): void {
		this.#parts.core.changes.touch(
			...["restores", `restore:${id}`, "guests", `guest:${guestId}`, `guest:${targetGuestId}`, `point:${pointId}`],
			...[`repository:${repositoryId}`, "protection", "overview"],
		);
	}

	#log(restore: RestoreEntry, err: unknown): void {
		this.#parts.core.log.info(
			{ err: asSternaError(err), restoreId: restore.id },
			"restore not carried on, trying again",
		);
	}

	#tell(
		restore: RestoreEntry,
		kind: string,
		actor: string,
		sentence: string,
		more: { why?: string | null; evidence?: unknown; severity?: "degraded" | null } = {},
	): Promise<void> {
		const target: GuestId = restore.targetGuestId;
		const objects = [
			...objectsOf({ id: restore.pointId, guestId: restore.guestId, guestName: restore.guestName }),
			...(target === restore.guestId ? [] : [{ type: "guest" as const, id: target, name: restore.targetName }]),
			{ type: "restore" as const, id: restore.id, name: restore.targetName },
		];
		return this.#parts.core.events.append({ kind, actor, objects, sentence, ...more });
	}
}
