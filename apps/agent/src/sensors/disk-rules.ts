import type { Severity } from "@sterna/shared/health";
import type { Increases } from "./counters.ts";
import { dayMs, type Symptom, symptom } from "./sensor.ts";
import type { SmartReport } from "./smartctl.ts";

export interface DiskContext {
	id: string;
	component: string;
	exitCode: number;
	report: SmartReport;
	increases: Increases;
}

/** smartctl(8), EXIT STATUS. */
const exitFailing = 1 << 3;
const exitPrefail = 1 << 4;
const exitSelfTest = 1 << 7;

/** The five SATA attributes that tell failures best; a raw value above 0 is a reason to look. */
const watched = [
	{ id: 5, signal: "reallocatedSectors", name: "Reallocated_Sector_Ct" },
	{ id: 187, signal: "reportedUncorrectable", name: "Reported_Uncorrect" },
	{ id: 188, signal: "commandTimeouts", name: "Command_Timeout" },
	{ id: 197, signal: "pendingSectors", name: "Current_Pending_Sector" },
	{ id: 198, signal: "offlineUncorrectable", name: "Offline_Uncorrectable" },
] as const;
type Watched = (typeof watched)[number];

const reallocatedPerDay = 10;

/** What the disk itself and smartctl's exit code say. For NVMe the health log says it better (see judgeNvme). */
export function judgeSelfAssessment(disk: DiskContext): Symptom[] {
	const { report, exitCode } = disk;
	const raw = `smartctl: passed=${report.passed}, exit code ${exitCode}`;
	const symptoms: Symptom[] = [];
	if (!report.nvme && (report.passed === false || exitCode & exitFailing)) {
		const rule = "the disk's own assessment is: failing";
		symptoms.push(
			breach(disk, "selfAssessment", "failing", { value: 1, threshold: 1, unit: "verdict", rule, raw }, true),
		);
	}
	if (exitCode & exitPrefail) {
		const rule = "an attribute that precedes failures is at or below its threshold";
		symptoms.push(breach(disk, "prefailAttribute", "degraded", { value: 1, threshold: 1, unit: "verdict", rule, raw }));
	}
	if (exitCode & exitSelfTest) {
		const rule = "a self-test of the disk ended with errors";
		symptoms.push(breach(disk, "selfTest", "watch", { value: 1, threshold: 1, unit: "verdict", rule, raw }));
	}
	return symptoms;
}

export function judgeAta(disk: DiskContext): Symptom[] {
	const nonZero = watched.flatMap((attribute) => {
		const raw = disk.report.attributes.get(attribute.id);
		if (raw === undefined) return [];
		// 188 holds three 16-bit numbers on some makes; the lowest is the count.
		const value = attribute.id === 188 ? raw % 65_536 : raw;
		return value > 0 ? [{ attribute, value }] : [];
	});
	const symptoms = nonZero.map(({ attribute, value }) => judgeAttribute(disk, attribute, value));
	if (nonZero.length >= 2) {
		const raw = nonZero.map(({ attribute, value }) => `${attribute.id} ${attribute.name} ${value}`).join(", ");
		const rule = "two or more of the attributes 5, 187, 188, 197 and 198 are above 0";
		const reading = { value: nonZero.length, threshold: 2, unit: "attributes", rule, raw };
		symptoms.push(breach(disk, "badAttributes", "degraded", reading));
	}
	return symptoms;
}

function judgeAttribute(disk: DiskContext, { id, signal, name }: Watched, value: number): Symptom {
	const grown = disk.increases.within(`disk/${disk.id}/${signal}`, dayMs);
	const raw = `${id} ${name}: raw value ${value}, ${Math.floor(grown)} more in 24 h`;
	switch (id) {
		case 5:
			if (grown >= reallocatedPerDay) {
				const rule = `at least ${reallocatedPerDay} sectors replaced in 24 h`;
				const reading = { value: grown, threshold: reallocatedPerDay, unit: "sectors", rule, raw, windowMs: dayMs };
				return breach(disk, signal, "degraded", reading);
			}
			break;
		case 197:
			if (grown > 0) {
				const rule = "more sectors wait for replacement than before";
				const reading = { value: grown, threshold: 1, unit: "sectors", rule, raw, windowMs: dayMs };
				return breach(disk, signal, "degraded", reading);
			}
			break;
		case 187:
		case 198: {
			const rule = "any sector or command that could not be read back";
			return breach(disk, signal, "degraded", { value, threshold: 1, unit: "errors", rule, raw });
		}
		case 188:
			break;
	}
	return breach(disk, signal, "watch", {
		value,
		threshold: 1,
		unit: "errors",
		rule: `attribute ${id} is above 0`,
		raw,
	});
}

export function judgeScsi(disk: DiskContext): Symptom[] {
	const { scsi } = disk.report;
	const symptoms: Symptom[] = [];
	if (scsi?.grownDefects) {
		const grown = disk.increases.within(`disk/${disk.id}/grownDefects`, dayMs);
		const many = grown >= reallocatedPerDay;
		const reading = {
			value: many ? grown : scsi.grownDefects,
			threshold: many ? reallocatedPerDay : 1,
			unit: "defects",
			rule: many ? `at least ${reallocatedPerDay} new defects in 24 h` : "the list of grown defects is not empty",
			raw: `scsi_grown_defect_list: ${scsi.grownDefects}, ${Math.floor(grown)} more in 24 h`,
			windowMs: many ? dayMs : 0,
		};
		symptoms.push(breach(disk, "grownDefects", many ? "degraded" : "watch", reading));
	}
	if (scsi?.uncorrectedErrors) {
		const grown = disk.increases.within(`disk/${disk.id}/scsiUncorrectedErrors`, dayMs);
		const reading = {
			value: grown > 0 ? grown : scsi.uncorrectedErrors,
			threshold: 1,
			unit: "errors",
			rule: grown > 0 ? "new uncorrected errors in 24 h" : "any uncorrected error in the disk's log",
			raw: `scsi_error_counter_log: ${scsi.uncorrectedErrors} uncorrected, ${Math.floor(grown)} more in 24 h`,
			windowMs: grown > 0 ? dayMs : 0,
		};
		symptoms.push(breach(disk, "uncorrectedErrors", grown > 0 ? "degraded" : "watch", reading));
	}
	return symptoms;
}

/** NVM Express Base Specification, SMART / Health Information log: bits of the critical warning. */
const criticalBits = [
	{ bit: 0, severity: "failing", signal: "spareBelowThreshold", says: "spare blocks are below their threshold" },
	{ bit: 1, severity: "degraded", signal: "temperatureWarning", says: "the temperature is out of its range" },
	{ bit: 2, severity: "failing", signal: "reliabilityDegraded", says: "media errors degrade its reliability" },
	{ bit: 3, severity: "failing", signal: "readOnly", says: "the disk has become read-only" },
	{ bit: 4, severity: "degraded", signal: "backupFailed", says: "the backup of its volatile memory has failed" },
] as const;

/** smartctl calls an NVMe disk failing for any critical warning, heat too; here each bit has its own weight. */
export function judgeNvme(disk: DiskContext): Symptom[] {
	const { nvme } = disk.report;
	if (!nvme) return [];
	const warning = nvme.criticalWarning ?? 0;
	const symptoms: Symptom[] = criticalBits
		.filter(({ bit }) => (warning >> bit) & 1)
		.map(({ bit, severity, signal, says }) => {
			const reading = { value: 1, threshold: 1, unit: "verdict", rule: `the disk warns: ${says}` };
			return breach(disk, signal, severity, { ...reading, raw: `critical_warning ${warning}` }, bit === 3);
		});
	const grown = disk.increases.within(`disk/${disk.id}/mediaErrors`, dayMs);
	if (grown > 0) {
		const raw = `media_errors ${nvme.mediaErrors}, ${Math.floor(grown)} more in 24 h`;
		const reading = {
			value: grown,
			threshold: 1,
			unit: "errors",
			rule: "new media errors in 24 h",
			raw,
			windowMs: dayMs,
		};
		symptoms.push(breach(disk, "mediaErrors", "degraded", reading));
	}
	const { availableSpare: spare, availableSpareThreshold: least, percentageUsed: used } = nvme;
	if (spare !== null && least !== null && spare <= least + 5) {
		const rule = "spare blocks are within 5 % of their threshold";
		const raw = `available_spare ${spare}, available_spare_threshold ${least}`;
		symptoms.push(
			breach(disk, "availableSpare", "degraded", { value: spare, threshold: least + 5, unit: "%", rule, raw }),
		);
	}
	if (used !== null && used >= 90) {
		const threshold = used >= 100 ? 100 : 90;
		const rule = `at least ${threshold} % of the rated life is used`;
		const reading = { value: used, threshold, unit: "%", rule, raw: `percentage_used ${used}` };
		symptoms.push(breach(disk, "percentageUsed", used >= 100 ? "degraded" : "watch", reading));
	}
	return symptoms;
}

function breach(
	disk: DiskContext,
	signal: string,
	severity: Severity,
	reading: { value: number; threshold: number; unit: string; rule: string; raw: string; windowMs?: number },
	oneShot = false,
): Symptom {
	return symptom({
		...reading,
		key: `disk/${disk.id}/${signal}`,
		component: disk.component,
		signal,
		severity,
		oneShot,
	});
}
