import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import { oneLine } from "./sensor.ts";

/** What `smartctl -x --json=c` says of one disk, as far as it is judged. Null: not said. */
export interface SmartReport {
	model: string;
	serial: string;
	passed: boolean | null;
	/** SATA attributes by id (raw values). */
	attributes: Map<number, number>;
	scsi: { grownDefects: number | null; uncorrectedErrors: number | null } | null;
	nvme: {
		criticalWarning: number | null;
		availableSpare: number | null;
		availableSpareThreshold: number | null;
		percentageUsed: number | null;
		mediaErrors: number | null;
	} | null;
}

const number = z.number().optional().catch(undefined);
const text = z.string().optional().catch(undefined);
const errors = z.object({ total_uncorrected_errors: number }).optional().catch(undefined);

/** Damaged fields become absent, so that one of them does not hide the others. */
const SmartJson = z.object({
	model_name: text,
	scsi_model_name: text,
	serial_number: text,
	smart_status: z
		.object({ passed: z.boolean().optional().catch(undefined) })
		.optional()
		.catch(undefined),
	ata_smart_attributes: z
		.object({
			table: z.array(
				z
					.object({ id: z.int().min(1).max(255), raw: z.object({ value: z.number().min(0) }) })
					.nullable()
					.catch(null),
			),
		})
		.optional()
		.catch(undefined),
	scsi_grown_defect_list: number,
	scsi_error_counter_log: z.object({ read: errors, write: errors, verify: errors }).optional().catch(undefined),
	nvme_smart_health_information_log: z
		.object({
			critical_warning: number,
			available_spare: number,
			available_spare_threshold: number,
			percentage_used: number,
			media_errors: number,
		})
		.optional()
		.catch(undefined),
});

/** Null when the text is no report on a disk's health: not JSON, an error message, a disk in standby. Never throws. */
export function parseSmartctl(output: string): SmartReport | null {
	let json: unknown;
	try {
		json = parseJson(output, { maxLength: 4 * 1024 * 1024, maxDepth: 32 });
	} catch {
		return null;
	}
	const parsed = SmartJson.safeParse(json);
	if (!parsed.success) return null;
	const report = parsed.data;
	const table = report.ata_smart_attributes?.table ?? [];
	const nvme = report.nvme_smart_health_information_log;
	const log = report.scsi_error_counter_log;
	const grownDefects = notNegative(report.scsi_grown_defect_list);
	const saysNothing =
		report.smart_status?.passed === undefined && table.length === 0 && !nvme && !log && grownDefects === null;
	if (saysNothing) return null;
	return {
		model: oneLine(report.model_name ?? report.scsi_model_name ?? "", 60),
		serial: oneLine(report.serial_number ?? "", 40),
		passed: report.smart_status?.passed ?? null,
		attributes: new Map(table.flatMap((row) => (row ? [[row.id, row.raw.value] as const] : []))),
		scsi: log || grownDefects !== null ? { grownDefects, uncorrectedErrors: log ? totalUncorrected(log) : null } : null,
		nvme: nvme
			? {
					criticalWarning: notNegative(nvme.critical_warning),
					availableSpare: notNegative(nvme.available_spare),
					availableSpareThreshold: notNegative(nvme.available_spare_threshold),
					percentageUsed: notNegative(nvme.percentage_used),
					mediaErrors: notNegative(nvme.media_errors),
				}
			: null,
	};
}

function totalUncorrected(log: NonNullable<z.infer<typeof SmartJson>["scsi_error_counter_log"]>): number | null {
	const totals = [log.read, log.write, log.verify].flatMap((of) => notNegative(of?.total_uncorrected_errors) ?? []);
	return totals.length === 0 ? null : totals.reduce((sum, total) => sum + total, 0);
}

function notNegative(value: number | undefined): number | null {
	return value !== undefined && value >= 0 ? value : null;
}
