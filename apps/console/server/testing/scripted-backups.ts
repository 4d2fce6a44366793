import type {
	BackupReport,
	RecoveryPoint,
	RepositoryAccess,
	RepositoryDamage,
	RepositoryPlace,
	RepositoryUsage,
	RestoreReport,
	UpkeepReport,
} from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { GuestId, PointId, RepositoryId } from "@sterna/shared/ids";
import type { ParsedInput } from "@sterna/shared/protocol/commands";
import type { Handlers } from "@sterna/shared/protocol/rpc";
import { GiB } from "@sterna/shared/units";
import type { ScriptedAgent } from "./scripted-agent.ts";

/** A place with a repository in it, as the agents of one test share it. */
export interface ScriptedRepository {
	repositoryId: RepositoryId;
	key: string;
	points: Map<PointId, RecoveryPoint>;
	/** What a scrub finds. */
	damages: RepositoryDamage[];
}

/** What agents of one test keep in common about backups. */
export class ScriptedPlaces {
	readonly repositories = new Map<string, ScriptedRepository>();
	/** What the guests were made as: an agent knows the specs of its guests. */
	readonly specs = new Map<GuestId, GuestSpec>();
	/** While set, backups stop in the middle until `letGo`; a restored guest's drill fails with this. */
	holdBackups = false;
	drillFailure: string | null = null;
	/** With it, restores fail before anything of the guest was touched. */
	restoreFailure: string | null = null;
	/** While set, restores wait for a key that fits; they go on with the next order that brings one. Guests of instant ones are stopped then. */
	restoresWait = false;
	/** With it, a replacement of a key is refused after the new key was written. */
	keyFailure: string | null = null;
	/** While set, nobody hears what a repository holds until `letGo`. */
	holdInspections = false;
	readonly #held = new Set<() => void>();

	held(): Promise<void> {
		return new Promise((resolve) => this.#held.add(resolve));
	}

	letGo(): void {
		this.holdBackups = false;
		this.holdInspections = false;
		for (const go of this.#held) go();
		this.#held.clear();
	}
}

const now = () => Date.now();
const placeKey = (place: RepositoryPlace) =>
	place.kind === "directory" ? place.name : `${place.bucket}/${place.prefix}`;

/** The agents' part of backups: records that behave as the real thing does, without a byte of data. */
export function scriptedBackupHandlers(agent: ScriptedAgent) {
	const { places } = agent.fleet;
	const hostId = agent.identity.hostId;
	const at = (place: RepositoryPlace): ScriptedRepository => {
		const isHere = place.kind === "s3" || agent.folders.some(({ name }) => name === place.name);
		const repository = isHere ? places.repositories.get(placeKey(place)) : undefined;
		if (!repository) throw new SternaError("not_found", "there is no repository");
		return repository;
	};
	const opened = (access: RepositoryAccess): ScriptedRepository => {
		const repository = at(access.place);
		if (repository.key !== access.key) throw new SternaError("forbidden", "this key does not open the repository");
		if (repository.repositoryId !== access.repositoryId)
			throw new SternaError("conflict", "another repository is there");
		return repository;
	};
	const usageOf = ({ points }: ScriptedRepository): RepositoryUsage => ({
		...{ at: now(), points: points.size, guests: new Set([...points.values()].map(({ guestId }) => guestId)).size },
		...{ logicalBytes: points.size * GiB, storedBytes: points.size * 1000 },
		...{ capacityBytes: 100 * GiB, freeBytes: 90 * GiB, immutability: "none" },
	});
	const setBackup = (report: BackupReport) => {
		agent.backups.set(report.pointId, report);
		agent.tell({ type: "backup.changed", backup: report });
		return report;
	};
	const setRestore = (report: RestoreReport) => {
		agent.restores.set(report.restoreId, report);
		agent.tell({ type: "restore.changed", restore: report });
		return report;
	};
	const setUpkeep = (report: UpkeepReport) => {
		agent.upkeeps.set(report.upkeepId, report);
		agent.tell({ type: "upkeep.changed", upkeep: report });
		return report;
	};
	const goOn = async (begun: BackupReport, repository: ScriptedRepository, spec: GuestSpec) => {
		if (places.holdBackups) await places.held();
		const current = agent.backups.get(begun.pointId);
		if (current?.state !== "running") return;
		const point = pointOf(begun, spec);
		repository.points.set(point.pointId, point);
		const { volumes } = point;
		setBackup({
			...begun,
			...{
				generation: 2,
				state: "completed",
				phase: "releaseSnapshot",
				endedAt: now(),
				readBytes: GiB,
				volumes,
				point,
			},
		});
	};
	return {
		"repository.create": async ({ access }) => {
			if (!agent.folders.some(({ name }) => name === placeKey(access.place)))
				throw new SternaError("not_found", "no such folder");
			if (places.repositories.has(placeKey(access.place)))
				throw new SternaError("conflict", "something is there already");
			const made = { repositoryId: access.repositoryId, key: access.key, points: new Map(), damages: [] };
			places.repositories.set(placeKey(access.place), made);
			return usageOf(made);
		},
		"repository.identify": async ({ place }) => ({ repositoryId: at(place).repositoryId }),
		"repository.inspect": async ({ access }) => {
			if (places.holdInspections) await places.held();
			return usageOf(opened(access));
		},
		"repository.replaceKey": async ({ access, newKey }) => {
			opened(access).key = newKey;
			if (places.keyFailure) throw new SternaError("forbidden", places.keyFailure);
			return {};
		},
		"repository.points": async ({ access, after }) => {
			const sorted = [...opened(access).points.values()].sort((a, b) => (a.pointId < b.pointId ? -1 : 1));
			const behind = sorted.filter(({ pointId }) => after === null || pointId > after);
			// Small pages, so that paging is met.
			return { points: behind.slice(0, 2), more: behind.length > 2 };
		},
		"repository.prune": async ({ access, pointIds }) => {
			for (const id of pointIds) opened(access).points.delete(id);
			return {};
		},
		"repository.upkeep": async ({ access, upkeepId, kind }) => {
			const known = agent.upkeeps.get(upkeepId);
			if (known) return known;
			const { damages, repositoryId } = opened(access);
			const begun: UpkeepReport = {
				...{ upkeepId, kind, repositoryId, hostId, generation: 1, state: "running", startedAt: now(), endedAt: null },
				...{ totalBytes: GiB, doneBytes: 0, freedBytes: 0, damages: [], result: null, error: null },
			};
			setUpkeep(begun);
			const found = kind === "scrub" ? damages : [];
			setTimeout(
				() =>
					setUpkeep({
						...begun,
						generation: 2,
						state: "completed",
						endedAt: now(),
						doneBytes: GiB,
						damages: found,
						result: "done",
					}),
				20,
			);
			return begun;
		},
		"backup.plan": async ({ guestId }) => ({ guestId, parentPointId: null, volumes: [], refusals: [] }),
		"backup.start": async ({ access, pointId, guestId, epoch }) => {
			const repository = opened(access);
			const known = agent.backups.get(pointId);
			if (known) return known;
			const guest = agent.guests.get(guestId);
			const spec = places.specs.get(guestId);
			if (!guest || !spec || guest.epoch !== epoch)
				throw new SternaError("conflict", "the guest is not here under this epoch");
			const begun = setBackup({
				...{
					pointId,
					guestId,
					repositoryId: access.repositoryId,
					hostId,
					generation: 1,
					state: "running",
					phase: "copyBlocks",
				},
				...{
					startedAt: now(),
					endedAt: null,
					frozenMs: 12,
					totalBytes: GiB,
					readBytes: 0,
					storedBytes: 0,
					slowedBy: null,
				},
				...{ volumes: [], point: null, error: null, journal: [] },
			});
			void goOn(begun, repository, spec);
			return begun;
		},
		"backup.cancel": async ({ pointId }) => {
			const report = agent.backups.get(pointId);
			if (!report) throw new SternaError("not_found", "no such backup");
			return report.state === "running"
				? setBackup({ ...report, generation: 9, state: "cancelled", endedAt: now() })
				: report;
		},
		"restore.start": async (order) => {
			const known = agent.restores.get(order.restoreId);
			if (known && (known.state !== "waiting" || places.restoresWait)) return known;
			const point = opened(order.access).points.get(order.pointId);
			if (!point) throw new SternaError("not_found", "the point is not there");
			if (places.restoresWait) {
				if (order.mode !== "instant") return setRestore({ ...restoreOf(order, hostId), state: "waiting" });
				agent.setGuest(restoredGuest({ ...order, start: false }));
				return setRestore({ ...restoreOf(order, hostId), state: "waiting", phase: "stream", bootedAfterMs: 900 });
			}
			const begun = setRestore({ ...restoreOf(order, hostId), generation: known ? 2 : 1 });
			setTimeout(() => finishRestore(agent, order, begun, setRestore), 20);
			return begun;
		},
		"restore.giveUp": async ({ restoreId }) => {
			const report = agent.restores.get(restoreId);
			if (!report) throw new SternaError("not_found", `no restore ${restoreId}`);
			return setRestore({ ...report, generation: 9, state: "failed", givenUp: true, endedAt: now() });
		},
		"restore.cancel": async ({ restoreId }) => {
			const report = agent.restores.get(restoreId);
			if (!report) throw new SternaError("not_found", "no such restore");
			return setRestore({ ...report, generation: 9, state: "cancelled", endedAt: now() });
		},
		"restore.screenshot": async () => ({ png: Buffer.from("png").toString("base64") }),
		"files.fileSystems": async () => ({ fileSystems: [{ device: "/dev/sda1", type: "ext4" }] }),
		"files.list": async () => ({
			files: [{ name: "hosts", kind: "file", sizeBytes: 9, modifiedAt: null }],
			truncated: false,
		}),
		async *"files.read"({ path }) {
			if (path !== "/etc/<b>hosts</b>.html") throw new SternaError("not_found", "no such file");
			yield { data: Buffer.from("127.0.0.1").toString("base64") };
			yield { data: Buffer.from(" localhost").toString("base64") };
		},
	} satisfies Partial<Handlers>;
}

function pointOf({ pointId, repositoryId, guestId, hostId, startedAt }: BackupReport, spec: GuestSpec): RecoveryPoint {
	return {
		...{
			pointId,
			repositoryId,
			guestId,
			hostId,
			guestName: spec.name,
			takenAt: startedAt,
			finishedAt: now(),
			parentPointId: null,
		},
		...{ consistency: "application", consistencyRemark: null, spec },
		volumes: spec.volumes.map(({ id: volumeId, sizeBytes }) => ({
			...{
				volumeId,
				sizeBytes,
				readBytes: sizeBytes,
				storedBytes: 1000,
				changedBytes: 1000,
				read: "whole",
				reason: "firstBackup",
			},
		})),
	};
}

function restoreOf(
	{ restoreId, mode, pointId, access, spec }: ParsedInput<"restore.start">,
	hostId: RestoreReport["hostId"],
): RestoreReport {
	return {
		...{ restoreId, mode, pointId, repositoryId: access.repositoryId, guestId: spec.id, hostId, generation: 1 },
		...{ state: "running", phase: "prepare", startedAt: now(), endedAt: null, totalBytes: GiB, copiedBytes: 0 },
		...{ bootedAfterMs: null, provedAfterMs: null, hasScreenshot: false, givenUp: false, error: null, journal: [] },
	};
}

function restoredGuest({ spec, epoch, start }: ParsedInput<"restore.start">) {
	return {
		...{ guestId: spec.id, name: spec.name, role: "owner" as const, epoch },
		...{ state: start ? ("running" as const) : ("stopped" as const), accelerator: null },
		...{ startedAt: start ? now() : null, migrationId: null, peerHostId: null, machine: "pc-q35-10.0", remark: null },
	};
}

function finishRestore(
	agent: ScriptedAgent,
	order: ParsedInput<"restore.start">,
	begun: RestoreReport,
	set: (report: RestoreReport) => unknown,
): void {
	if (agent.restores.get(begun.restoreId)?.state !== "running") return;
	const { drillFailure, restoreFailure } = agent.fleet.places;
	const end = { ...begun, generation: 3, endedAt: now(), copiedBytes: GiB, phase: "finish" as const };
	if (order.mode === "drill") {
		set(
			drillFailure
				? {
						...end,
						state: "failed",
						bootedAfterMs: 900,
						hasScreenshot: true,
						error: { code: "timeout", message: drillFailure },
					}
				: { ...end, state: "completed", bootedAfterMs: 900, provedAfterMs: 2400, hasScreenshot: true },
		);
		return;
	}
	if (restoreFailure) {
		const former = agent.guests.get(order.spec.id);
		if (former) agent.setGuest(former);
		set({ ...end, state: "failed", error: { code: "unavailable", message: restoreFailure } });
		return;
	}
	agent.setGuest(restoredGuest(order));
	agent.fleet.places.specs.set(order.spec.id, order.spec);
	set({ ...end, state: "completed", bootedAfterMs: order.start ? 900 : null });
}
