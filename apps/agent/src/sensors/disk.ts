import { carries, type Relevance } from "./block-devices.ts";
import type { Change, Increases } from "./counters.ts";
import { judgeAta, judgeNvme, judgeScsi, judgeSelfAssessment } from "./disk-rules.ts";
import type { SensorRoot } from "./root.ts";
import { type Judgement, keyPart, oneLine, type Sensor, type Symptom, symptom } from "./sensor.ts";
import { parseSmartctl, type SmartReport } from "./smartctl.ts";

const smartctlTimeoutMs = 20_000;
/** A child that the kernel does not let go for this long waits for a disk that will not answer. */
const stuckAfterMs = 30_000;
const atOnce = 4;

export interface DiskReading {
	/** `sda` */
	device: string;
	/** Serial where known, so that findings stay with the disk when the kernel names it anew. */
	identity: Identity | null;
	answer:
		| { kind: "report"; report: SmartReport; exitCode: number }
		| { kind: "silent"; reason: string }
		| { kind: "hung"; forMs: number };
}

interface Identity {
	id: string;
	component: string;
}

/** Disk health as smartctl tells it. `relevance` says which disks carry something. */
export function createDiskSensor(root: SensorRoot, relevance: () => Promise<Relevance>): Sensor {
	const identities = new Map<string, Identity>();
	return {
		kind: "disk",
		async read() {
			const [disks, relevant] = await Promise.all([readDisks(root, identities), relevance()]);
			return {
				changes: (disks ?? []).flatMap(diskChanges),
				judge: (increases) => judgeDisks(disks, relevant, increases),
			};
		},
	};
}

/** Null when the disks of this server cannot even be listed. */
export async function readDisks(
	root: SensorRoot,
	identities = new Map<string, Identity>(),
): Promise<DiskReading[] | null> {
	const names = await root.list("/sys/block");
	if (names === null) return null;
	const devices = names.filter((name) => /^(sd[a-z]{1,4}|nvme\d{1,4}n\d{1,4})$/.test(name)).slice(0, 512);
	const readings: DiskReading[] = [];
	const queue = devices.values();
	const worker = async () => {
		for (const device of queue) readings.push(await readDisk(root, device, identities));
	};
	await Promise.all(Array.from({ length: atOnce }, worker));
	return readings.sort((a, b) => a.device.localeCompare(b.device));
}

async function readDisk(root: SensorRoot, device: string, identities: Map<string, Identity>): Promise<DiskReading> {
	const args = ["-x", "--json=c", "-n", "standby,0", `/dev/${device}`];
	const result = await root.runTool("smartctl", args, { subject: device, timeoutMs: smartctlTimeoutMs });
	const identity = identities.get(device) ?? null;
	if (result.status === "hung") return { device, identity, answer: { kind: "hung", forMs: result.forMs } };
	if (result.status === "missing") return silent(device, identity, "smartctl is not installed (package smartmontools)");
	// The exit code is a mask of findings; only its two lowest bits mean that there is no report.
	const report = parseSmartctl(result.stdout);
	if (!report) return silent(device, identity, `smartctl gave no report (exit code ${result.exitCode})`);
	const known = identify(device, report);
	identities.set(device, known);
	return { device, identity: known, answer: { kind: "report", report, exitCode: result.exitCode } };
}

function silent(device: string, identity: Identity | null, reason: string): DiskReading {
	return { device, identity, answer: { kind: "silent", reason } };
}

function identify(device: string, { model, serial }: SmartReport): Identity {
	const described = [model, serial && `serial ${serial}`].filter(Boolean).join(", ");
	return {
		id: keyPart(serial || device),
		component: oneLine(described ? `/dev/${device} (${described})` : `/dev/${device}`),
	};
}

/** Raw values whose growth is judged, as counters under the key of their finding. */
export function diskChanges({ identity, answer }: DiskReading): Change[] {
	if (answer.kind !== "report" || !identity) return [];
	const { attributes, nvme, scsi } = answer.report;
	const totals = {
		reallocatedSectors: attributes.get(5),
		pendingSectors: attributes.get(197),
		grownDefects: scsi?.grownDefects,
		scsiUncorrectedErrors: scsi?.uncorrectedErrors,
		mediaErrors: nvme?.mediaErrors,
	};
	return Object.entries(totals).flatMap(([signal, total]) =>
		total === undefined || total === null ? [] : [{ counter: `disk/${identity.id}/${signal}`, total }],
	);
}

export function judgeDisks(
	disks: readonly DiskReading[] | null,
	relevance: Relevance,
	increases: Increases,
): Judgement {
	if (disks === null) {
		return { symptoms: [], unseen: [{ keyPrefix: "disk/", reason: "the disks of this server cannot be listed" }] };
	}
	const judged = disks.map((disk) => ({
		disk,
		symptoms: judgeDisk(disk, increases).map((one) => ({ ...one, relevant: carries(relevance, disk.device) })),
	}));
	return {
		symptoms: judged.flatMap(({ symptoms }) => symptoms),
		unseen: disks.flatMap(({ device, identity, answer }) => {
			if (answer.kind === "report") return [];
			const reason =
				answer.kind === "hung" ? `smartctl has not answered for ${Math.round(answer.forMs / 1000)} s` : answer.reason;
			// A disk whose serial was never seen may be the one of any finding.
			return [{ keyPrefix: identity ? `disk/${identity.id}/` : "disk/", reason: `/dev/${device}: ${reason}` }];
		}),
	};
}

function judgeDisk({ device, identity, answer }: DiskReading, increases: Increases): Symptom[] {
	const { id, component } = identity ?? { id: keyPart(device), component: `/dev/${device}` };
	switch (answer.kind) {
		case "silent":
			return [];
		case "hung":
			return [hung(device, component, answer.forMs)];
		case "report": {
			const context = { id, component, exitCode: answer.exitCode, report: answer.report, increases };
			return [...judgeSelfAssessment(context), ...judgeAta(context), ...judgeScsi(context), ...judgeNvme(context)];
		}
	}
}

/** The key has the device's name, not its serial: a disk that answers again must not be unseen to its own clearing. */
function hung(device: string, component: string, forMs: number): Symptom {
	const stuck = forMs >= stuckAfterMs;
	return symptom({
		key: `disk-probe/${keyPart(device)}/hung`,
		component,
		signal: "probeHung",
		severity: stuck ? "degraded" : "watch",
		value: Math.round(forMs / 1000),
		threshold: (stuck ? stuckAfterMs : smartctlTimeoutMs) / 1000,
		unit: "s",
		windowMs: forMs,
		rule: stuck
			? `a query that could not be ended within ${stuckAfterMs / 1000} s: the disk does not answer`
			: `no answer to smartctl within ${smartctlTimeoutMs / 1000} s`,
		raw: `smartctl -x --json=c /dev/${device}: no answer for ${Math.round(forMs / 1000)} s`,
	});
}
