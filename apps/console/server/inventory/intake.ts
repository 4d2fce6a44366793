import type { GuestGrant } from "@sterna/migration/grants";
import type { GuestMetrics, GuestReport } from "@sterna/shared/guest";
import type { Finding } from "@sterna/shared/health";
import type { HostFacts, HostMetrics } from "@sterna/shared/host";
import type { GuestId, HostId } from "@sterna/shared/ids";
import { endedMigrationStates, type MigrationReport } from "@sterna/shared/migration";
import type { ReportEvent, TrackedReport } from "@sterna/shared/protocol/report";
import { eq } from "drizzle-orm";
import { judgeGuest, judgeMigration } from "../agents/restriction.ts";
import type { TaskReport } from "../backups/backups.ts";
import type { Core } from "../core.ts";
import * as tables from "../db/schema.ts";
import type { GuestEntry, HostEntry } from "./inventory.ts";
import { isNewer, judgeReport, plausibleTime } from "./sequence.ts";

/** What must follow from news; each is awaited, so reports of one host are taken in one after the other. */
export interface IntakeListener {
	guestReported(hostId: HostId, guestId: GuestId): Promise<void>;
	migrationReported(hostId: HostId, report: MigrationReport): Promise<void>;
	findingsReported(hostId: HostId, findings: Finding[]): Promise<void>;
	/** A backup, restore or upkeep. False: it is not the host's to say. */
	taskReported(hostId: HostId, task: TaskReport): Promise<boolean>;
	/** A snapshot: these are all the tasks that the host knows. */
	tasksKnown(hostId: HostId, ids: ReadonlySet<string>): Promise<void>;
	/** `guests`: those that this sample speaks of. */
	metricsSampled(hostId: HostId, guests: readonly GuestEntry[]): void;
	/** A host spoke for what is not its own. */
	foreignReport(hostId: HostId, what: string, objectId: string): Promise<void>;
	/** The report cannot be understood without what came before: the whole state must be asked for again. */
	lost(hostId: HostId): void;
}

/** Takes in what agents report: what is theirs to say, newer than what is known, and nothing else. */
export class Intake {
	readonly #core: Core;
	readonly #listener: IntakeListener;

	constructor(core: Core, listener: IntakeListener) {
		this.#core = core;
		this.#listener = listener;
	}

	/** @throws what went wrong while the report was written: the host must tell its whole state then. */
	async take(hostId: HostId, tracked: TrackedReport): Promise<void> {
		const host = this.#core.inventory.host(hostId);
		host.lastHeardAt = this.#core.now();
		const verdict = judgeReport(host.lastReport, tracked);
		if (verdict === "old") return;
		if (verdict === "lost") return this.#listener.lost(hostId);
		host.lastReport = { run: tracked.run, id: tracked.id };
		try {
			await this.#apply(host, tracked.event);
		} catch (thrown) {
			// To resume behind it would be to never hear it again.
			host.lastReport = null;
			throw thrown;
		}
	}

	async #apply(host: HostEntry, event: ReportEvent): Promise<void> {
		switch (event.type) {
			case "snapshot":
				await this.#facts(host, event.facts);
				this.#forgetReports(host);
				for (const migration of event.migrations) await this.#migration(host, migration);
				for (const guest of event.guests) await this.#guest(host, guest);
				await this.#tasks(host, event);
				await this.#listener.findingsReported(host.id, event.findings);
				if (event.metrics) this.#hostMetrics(host, event.metrics);
				this.#core.changes.touch("overview", "hosts", "guests", `host:${host.id}`);
				return;
			case "host.changed":
				return this.#facts(host, event.facts);
			case "guest.changed":
				return this.#guest(host, event.guest);
			case "guest.removed":
				return this.#removed(host, event.guestId);
			case "findings.changed":
				return this.#listener.findingsReported(host.id, event.findings);
			case "migration.changed":
				return this.#migration(host, event.migration);
			case "backup.changed":
				return this.#task(host, { kind: "backup", report: event.backup });
			case "restore.changed":
				return this.#task(host, { kind: "restore", report: event.restore });
			case "upkeep.changed":
				return this.#task(host, { kind: "upkeep", report: event.upkeep });
			case "metrics.sampled":
				this.#hostMetrics(host, event.host);
				this.#listener.metricsSampled(host.id, this.#guestMetrics(host, event.guests));
				return;
		}
	}

	async #facts(host: HostEntry, facts: HostFacts): Promise<void> {
		const { db, changes } = this.#core;
		if (facts.hostId !== host.id) return this.#listener.foreignReport(host.id, "facts of another host", facts.hostId);
		// The name was given at joining; an agent cannot take another's.
		host.facts = { ...facts, name: host.name };
		await db
			.update(tables.hosts)
			.set({ facts: host.facts, lastHeardAt: this.#core.now() })
			.where(eq(tables.hosts.id, host.id));
		changes.touch("hosts", `host:${host.id}`);
	}

	async #guest(host: HostEntry, report: GuestReport): Promise<void> {
		const { inventory, db, now } = this.#core;
		const guest = inventory.guests.get(report.guestId);
		const standing = judgeGuest(host.id, report, guest && grantFor(guest, report), inventory.movesOf(report.guestId));
		if (standing === "foreign" || !guest) {
			return this.#listener.foreignReport(
				host.id,
				`a guest as ${report.role} under epoch ${report.epoch}`,
				report.guestId,
			);
		}
		if (standing === "stale" || !isNewer(guest.reports.get(host.id), report)) return;
		const startedAt = report.startedAt === null ? null : Math.min(report.startedAt, now());
		guest.reports.set(host.id, { ...report, startedAt });
		if (report.role === "owner") {
			guest.lastKnown = report;
			await db.update(tables.guests).set({ report }).where(eq(tables.guests.id, guest.id));
		}
		await this.#listener.guestReported(host.id, guest.id);
		this.#touchGuest(guest.id, host.id);
	}

	async #removed(host: HostEntry, guestId: GuestId): Promise<void> {
		const guest = this.#core.inventory.guests.get(guestId);
		if (!guest?.reports.delete(host.id)) return;
		await this.#listener.guestReported(host.id, guestId);
		this.#touchGuest(guestId, host.id);
	}

	/** A snapshot is the whole truth of its host: what it does not name is not there. Generations begin anew with it. */
	#forgetReports(host: HostEntry): void {
		for (const guest of this.#core.inventory.guests.values()) guest.reports.delete(host.id);
	}

	async #migration(host: HostEntry, report: MigrationReport): Promise<void> {
		const { inventory } = this.#core;
		const known = inventory.moves.get(report.migrationId);
		if (!known && endedMigrationStates.includes(report.state)) return;
		if (judgeMigration(host.id, report, known) === "foreign" || !known) {
			return this.#listener.foreignReport(host.id, "a migration that was not ordered", report.migrationId);
		}
		if (known.endedAt !== null || (known.report && !isNewer(known.report, report))) return;
		await this.#listener.migrationReported(host.id, report);
	}

	/** The snapshot names every task of the host; what it does not name is not there. */
	async #tasks(host: HostEntry, { backups, restores, upkeeps }: ReportEvent & { type: "snapshot" }): Promise<void> {
		for (const report of backups) await this.#task(host, { kind: "backup", report });
		for (const report of restores) await this.#task(host, { kind: "restore", report });
		for (const report of upkeeps) await this.#task(host, { kind: "upkeep", report });
		const named = [
			...backups.map(({ pointId }) => pointId),
			...restores.map(({ restoreId }) => restoreId),
			...upkeeps.map(({ upkeepId }) => upkeepId),
		];
		await this.#listener.tasksKnown(host.id, new Set(named));
	}

	async #task(host: HostEntry, task: TaskReport): Promise<void> {
		const believed = task.report.hostId === host.id && (await this.#listener.taskReported(host.id, task));
		if (believed) return;
		await this.#listener.foreignReport(host.id, `a ${task.kind} that was not ordered`, idOf(task));
	}

	#hostMetrics(host: HostEntry, sample: HostMetrics): void {
		const { changes, now } = this.#core;
		host.metrics = { ...sample, at: plausibleTime(sample.at, now()) };
		changes.publish({ type: "hostMetrics", topic: `host:${host.id}`, sample: host.metrics });
		changes.touch("hosts", "overview");
	}

	/** Returns the guests whose samples were taken. */
	#guestMetrics(host: HostEntry, samples: readonly GuestMetrics[]): GuestEntry[] {
		const { inventory, changes, now } = this.#core;
		return samples.flatMap((sample) => {
			const guest = inventory.guests.get(sample.guestId);
			// While it moves both ends measure it; only the one that runs it says how it fares.
			if (guest?.reports.get(host.id)?.role !== "owner") return [];
			guest.metrics = { ...sample, at: plausibleTime(sample.at, now()) };
			changes.publish({ type: "guestMetrics", topic: `guest:${guest.id}`, sample: guest.metrics });
			return [guest];
		});
	}

	#touchGuest(guestId: GuestId, hostId: HostId): void {
		this.#core.changes.touch("overview", "guests", "hosts", `guest:${guestId}`, `host:${hostId}`);
	}
}

/** While a guest is restored over, its host holds the former epoch until the disks have taken their place. */
function grantFor({ grant, existence }: GuestEntry, report: GuestReport): GuestGrant {
	const isFormer = existence === "restoring" && report.epoch < grant.ownerEpoch;
	return isFormer ? { ...grant, ownerEpoch: report.epoch } : grant;
}

function idOf({ kind, report }: TaskReport): string {
	switch (kind) {
		case "backup":
			return report.pointId;
		case "restore":
			return report.restoreId;
		case "upkeep":
			return report.upkeepId;
	}
}
