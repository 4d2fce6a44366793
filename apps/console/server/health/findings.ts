import { SternaError } from "@sterna/shared/errors";
import type { Finding } from "@sterna/shared/health";
import type { HostId } from "@sterna/shared/ids";
import { maxFindingsPerHost } from "@sterna/shared/protocol/report";
import { and, desc, eq } from "drizzle-orm";
import type { Core } from "../core.ts";
import type { Database, Transaction } from "../db/database.ts";
import * as tables from "../db/schema.ts";
import type { Evacuations } from "../evacuations/executor.ts";
import type { FindingEntry, HostEntry } from "../inventory/inventory.ts";
import { decideHealth, type PolicyDecision, type PolicyHost } from "./policy.ts";

/** A finding that only grows older is written this often. */
const rewriteMs = 30_000;
/** A host may open 500 findings within this time: what comes on top is a fault of its sensors, not of its parts. */
const openedWindowMs = 10 * 60_000;
export const policyActor = "health policy";

/** Keeps findings, and has the policy's decisions carried out. */
export class Findings {
	readonly #core: Core;
	readonly #evacuations: Evacuations;
	readonly #writtenAt = new Map<string, number>();
	/** Per host, when it opened a finding within the window. */
	readonly #opened = new Map<HostId, number[]>();
	#deciding: Promise<void> = Promise.resolve();

	constructor(core: Core, evacuations: Evacuations) {
		this.#core = core;
		this.#evacuations = evacuations;
	}

	/** Takes the whole list of one host. What is new or worse is decided upon at once, without holding up its reports. */
	async receive(hostId: HostId, findings: readonly Finding[]): Promise<void> {
		const host = this.#core.inventory.host(hostId);
		let changed = false;
		for (const finding of findings) changed = (await this.#seen(host, finding)) || changed;
		const reported = new Set(findings.map((finding) => finding.key));
		for (const entry of [...host.findings]) {
			// What was degraded or failing stays until a person releases it: such errors come again on the same part.
			if (reported.has(entry.key) || entry.severity !== "watch") continue;
			await this.#close(host, entry, { state: "cleared", clearedAt: this.#core.now() });
			changed = true;
		}
		if (!changed) return;
		this.#core.changes.touch("overview", "health", "hosts", `host:${hostId}`);
		void this.decide();
	}

	/**
	 * A person says that the part was replaced, or that the finding was wrong. It comes back when it gets worse.
	 * @throws {SternaError} `not_found`.
	 */
	async release(request: { hostId: HostId; findingId: string; actor: string; reason: string }): Promise<void> {
		const { inventory, events, now } = this.#core;
		const host = inventory.host(request.hostId);
		const entry = host.findings.find((finding) => finding.id === request.findingId);
		if (!entry) throw new SternaError("not_found", `${host.name} has no open finding ${request.findingId}`);
		const released = { state: "released", releasedAt: now(), releasedBy: request.actor } as const;
		const event = {
			kind: "finding.released",
			actor: request.actor,
			objects: [{ type: "host" as const, id: host.id, name: host.name }],
			sentence: `${request.actor} released the finding on ${entry.finding.component} of ${host.name}`,
			why: request.reason || null,
			evidence: entry.finding,
		};
		await this.#core.db.transaction(async (tx) => {
			await tx.update(tables.findings).set(released).where(eq(tables.findings.id, entry.id));
			await events.append(event, tx);
		});
		this.#forget(host, entry);
		this.#core.changes.touch("overview", "health", "hosts", `host:${host.id}`);
	}

	/** Asks the policy about everything that is not settled; one run at a time. Also called every few seconds. */
	decide(): Promise<void> {
		const next = this.#deciding.then(() => this.#decide());
		this.#deciding = next.catch((err) => this.#core.log.error({ err }, "health policy failed, trying again"));
		return this.#deciding;
	}

	async #decide(): Promise<void> {
		const { inventory, now } = this.#core;
		const hosts = [...inventory.hosts.values()].filter((host) => host.revokedAt === null);
		// One whose host died meanwhile stands still; it must not keep another failing host from being emptied.
		const automaticEvacuations = [...inventory.evacuations.values()].filter(
			({ requestedBy, hostId }) => requestedBy === policyActor && inventory.host(hostId).connected,
		).length;
		for (const decision of decideHealth({ now: now(), hosts: hosts.map(policyHost), automaticEvacuations })) {
			await this.#carryOut(decision);
		}
	}

	async #carryOut({ findingId, hostId, action, sentence, considered }: PolicyDecision): Promise<void> {
		const { inventory, events, changes } = this.#core;
		const host = inventory.host(hostId);
		const entry = host.findings.find((candidate) => candidate.id === findingId);
		if (!entry) return;
		const { finding } = entry;
		const evidence = { finding, considered };
		const note = (db: Database | Transaction) =>
			db.update(tables.findings).set({ action: sentence }).where(eq(tables.findings.id, findingId));
		if (action === "evacuate" && host.mode === "normal") {
			const reason = `rule “${finding.rule}”: ${finding.value} ${finding.unit} on ${finding.component}`;
			// One transaction: a console that is killed here finds both or neither, and decides again.
			await this.#evacuations.begin({ hostId, reason, requestedBy: policyActor, evidence, alongside: note });
		} else await note(this.#core.db);
		entry.action = sentence;
		if (action !== "notify") {
			await events.append({
				kind: action === "alertOnly" ? "finding.alerted" : "finding.actedUpon",
				actor: policyActor,
				objects: [{ type: "host", id: host.id, name: host.name }],
				sentence: `${host.name}, ${finding.component}: ${sentence}`,
				why: finding.rule,
				evidence,
				severity: finding.severity,
			});
		}
		changes.touch("overview", "health", `host:${hostId}`);
	}

	/** Returns whether something new must be decided upon. */
	async #seen(host: HostEntry, finding: Finding): Promise<boolean> {
		const open = host.findings.find((entry) => entry.key === finding.key);
		if (!open) return this.#open(host, finding);
		const worse = severityRank[finding.severity] > severityRank[open.severity];
		// It never gets better by itself: counters begin anew after a reboot, the part is the same. A person releases it.
		if (severityRank[finding.severity] < severityRank[open.severity]) return false;
		Object.assign(open, { finding, severity: finding.severity });
		if (worse) open.action = null;
		const { now } = this.#core;
		if (!worse && now() - (this.#writtenAt.get(open.id) ?? 0) < rewriteMs) return false;
		this.#writtenAt.set(open.id, now());
		await this.#core.db
			.update(tables.findings)
			.set({ finding, severity: finding.severity, action: open.action })
			.where(eq(tables.findings.id, open.id));
		if (worse) await this.#tell(host, finding, "changed");
		return worse;
	}

	/** Hints are bounded in time; what is degraded or failing, by how much of it may be open. */
	#mayOpen(host: HostEntry, { severity }: Finding): boolean {
		const { now, log } = this.#core;
		const lately = (this.#opened.get(host.id) ?? []).filter((at) => now() - at < openedWindowMs);
		this.#opened.set(host.id, lately);
		const held = severity === "watch" ? lately.length : host.findings.length - maxFindingsPerHost;
		if (held < maxFindingsPerHost) return true;
		log.warn({ hostId: host.id }, "finding not opened: the host reports too many");
		return false;
	}

	async #open(host: HostEntry, finding: Finding): Promise<boolean> {
		const { db, now } = this.#core;
		if (!this.#mayOpen(host, finding)) return false;
		const [former] = await db
			.select()
			.from(tables.findings)
			.where(and(eq(tables.findings.hostId, host.id), eq(tables.findings.key, finding.key)))
			.orderBy(desc(tables.findings.openedAt))
			.limit(1);
		if (former?.state === "released" && isNoWorse(finding, former.finding)) return false;
		const [row] = await db
			.insert(tables.findings)
			.values({
				id: crypto.randomUUID(),
				hostId: host.id,
				key: finding.key,
				severity: finding.severity,
				finding,
				state: "open",
				openedAt: now(),
			})
			.returning();
		if (row) host.findings.push(row);
		this.#opened.get(host.id)?.push(now());
		await this.#tell(host, finding, "opened");
		return true;
	}

	async #close(host: HostEntry, entry: FindingEntry, change: Partial<FindingEntry>): Promise<void> {
		await this.#core.db.update(tables.findings).set(change).where(eq(tables.findings.id, entry.id));
		this.#forget(host, entry);
	}

	#forget(host: HostEntry, entry: FindingEntry): void {
		host.findings = host.findings.filter((candidate) => candidate !== entry);
		this.#writtenAt.delete(entry.id);
	}

	async #tell(host: HostEntry, finding: Finding, what: "opened" | "changed"): Promise<void> {
		await this.#core.events.append({
			kind: `finding.${what}`,
			actor: host.name,
			objects: [{ type: "host", id: host.id, name: host.name }],
			sentence: `${host.name}, ${finding.component}: ${finding.rule} (${finding.value} ${finding.unit})`,
			why: `${finding.sensor} sensor, signal ${finding.signal}, threshold ${finding.threshold}`,
			evidence: finding,
			severity: finding.severity,
		});
	}
}

const severityRank = { watch: 0, degraded: 1, failing: 2 } as const;

/** The released trouble, reported again: nothing has come on top of what the person had seen. */
function isNoWorse(now: Finding, released: Finding): boolean {
	return now.firstSeenAt <= released.firstSeenAt && now.value <= released.value && now.severity === released.severity;
}

function policyHost(host: HostEntry): PolicyHost {
	return {
		hostId: host.id,
		name: host.name,
		mode: host.mode,
		online: host.connected && host.lastReport !== null,
		findings: host.findings.map(({ id, finding, openedAt, action }) => ({
			id,
			finding,
			openedAt,
			settled: action !== null,
		})),
	};
}
