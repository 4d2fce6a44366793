import { type Finding, healthOf } from "@sterna/shared/health";
import type { HostMode } from "@sterna/shared/host";
import type { HostId } from "@sterna/shared/ids";

/** One open finding, and whether the policy has dealt with it at its present severity. */
export interface PolicyFinding {
	id: string;
	finding: Finding;
	openedAt: number;
	settled: boolean;
}

export interface PolicyHost {
	hostId: HostId;
	name: string;
	mode: HostMode;
	/** Heard now: an evacuation could begin. */
	online: boolean;
	findings: readonly PolicyFinding[];
}

export interface PolicyView {
	now: number;
	/** Every host that has not been revoked. */
	hosts: readonly PolicyHost[];
	/** Evacuations under way that the policy began. */
	automaticEvacuations: number;
}

/**
 * What is done about a finding. `notify`: shown. `quarantine`: no new guests; follows from the health state by itself.
 * `evacuate`: every guest leaves now. `alertOnly`: it would be acted upon, but a guard forbids it; a person decides.
 */
export type PolicyAction = "notify" | "quarantine" | "evacuate" | "alertOnly";

export interface PolicyDecision {
	findingId: string;
	hostId: HostId;
	action: PolicyAction;
	/** What was decided and why, for the finding's page and the event log. */
	sentence: string;
	/** The alternatives that lost, for the evidence. */
	considered: string[];
}

/** The same signal on this share of all hosts (and at least two of them) within the window is a fault of the sensor. */
const fleetShare = 0.1;
const fleetMinimum = 2;
const fleetWindowMs = 10 * 60_000;
const maxEvacuatingShare = 0.1;

/** Decides about every open finding that is not settled. Those that must wait for a free place get no decision. */
export function decideHealth(view: PolicyView): PolicyDecision[] {
	const decisions: PolicyDecision[] = [];
	let evacuating = view.automaticEvacuations;
	const chosen = new Set<HostId>();
	for (const { host, entry } of newestSeverityFirst(view.hosts)) {
		const { finding } = entry;
		const decide = (action: PolicyAction, sentence: string, considered: string[] = []) =>
			decisions.push({ findingId: entry.id, hostId: host.hostId, action, sentence, considered });
		if (finding.severity === "watch") {
			decide("notify", `shown: ${finding.rule}`);
			continue;
		}
		if (!finding.relevant) {
			decide("alertOnly", `alert only: ${finding.component} carries no guest, volume or root filesystem`);
			continue;
		}
		const affected = fleetWith(view, finding);
		if (affected.length >= fleetMinimum && affected.length > view.hosts.length * fleetShare) {
			decide(
				"alertOnly",
				`alert only: ${affected.length} of ${view.hosts.length} hosts report ${finding.signal} within ten minutes; that is more likely a fault of the sensors than of the hosts`,
				[`evacuate ${affected.join(", ")}`],
			);
			continue;
		}
		if (finding.severity === "degraded") {
			decide("quarantine", `no new guests on ${host.name}: ${finding.rule}`, ["evacuate: it is degraded, not failing"]);
			continue;
		}
		if (host.mode !== "normal" || chosen.has(host.hostId)) {
			decide(
				"evacuate",
				chosen.has(host.hostId) ? `${host.name} is being emptied` : `${host.name} is out of service already`,
			);
			continue;
		}
		const limit = Math.max(1, Math.floor(view.hosts.length * maxEvacuatingShare));
		if (!host.online || evacuating >= limit) continue;
		evacuating++;
		chosen.add(host.hostId);
		decide("evacuate", "evacuated", [
			"keep the guests and take no new ones: the part is failing, not degraded",
			"wait for a person: uncorrected errors tend to come again on the same part",
		]);
	}
	return decisions;
}

/** Failing before degraded before watch, the oldest first, so that a free place goes to who needs it most. */
function newestSeverityFirst(hosts: readonly PolicyHost[]): { host: PolicyHost; entry: PolicyFinding }[] {
	const rank = { failing: 0, degraded: 1, watch: 2 } as const;
	return hosts
		.flatMap((host) => host.findings.filter((entry) => !entry.settled).map((entry) => ({ host, entry })))
		.sort(
			(a, b) =>
				rank[a.entry.finding.severity] - rank[b.entry.finding.severity] ||
				a.entry.openedAt - b.entry.openedAt ||
				a.entry.id.localeCompare(b.entry.id),
		);
}

/** Names of the hosts on which the same signal turned degraded or worse within the window. */
function fleetWith({ hosts, now }: PolicyView, { sensor, signal }: Finding): string[] {
	return hosts
		.filter((host) =>
			host.findings.some(
				({ finding, openedAt }) =>
					finding.sensor === sensor &&
					finding.signal === signal &&
					finding.severity !== "watch" &&
					finding.relevant &&
					now - openedAt <= fleetWindowMs,
			),
		)
		.map((host) => host.name);
}

/** What the host's findings amount to, as a sentence: `failing: any uncorrected memory error, 2 errors on DIMM_B1`. */
export function healthSentence(findings: readonly Finding[]): string | null {
	const worst = [...findings].sort((a, b) => severityRank(b) - severityRank(a) || a.firstSeenAt - b.firstSeenAt)[0];
	if (!worst || healthOf(findings) === "healthy") return null;
	return `${worst.component}: ${worst.value} ${worst.unit} (${worst.rule})`;
}

function severityRank({ severity, relevant }: Finding): number {
	return (relevant ? 10 : 0) + { watch: 1, degraded: 2, failing: 3 }[severity];
}
