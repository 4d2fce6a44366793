import type { Change, Increases } from "./counters.ts";
import type { SensorRoot } from "./root.ts";
import {
	count,
	dayMs,
	type Judgement,
	keyPart,
	minuteMs,
	oneLine,
	type Sensor,
	type Symptom,
	symptom,
} from "./sensor.ts";

const edac = "/sys/devices/system/edac/mc";

/** Thresholds per DIMM, never on the mean: errors of a fleet come from few modules. */
const watchPerDay = 10;
const degradedPerDay = 100;
const stormPerMinute = 1000;

/** A DIMM, or the controller for errors that it could not pin on one. Null: the file is missing or makes no sense. */
export interface MemoryPart {
	/** `mc0.dimm1` */
	name: string;
	/** As printed on the board where the firmware or an admin said so, with the place: `DIMM_B1 (mc0 channel 1 slot 0)`. */
	component: string;
	path: string;
	corrected: number | null;
	uncorrected: number | null;
	sinceResetMs: number | undefined;
}

interface Layout {
	controller: string;
	dimms: { name: string; component: string }[];
}

/** Memory errors as EDAC counts them (kernel Documentation/admin-guide/RAS and ABI/testing/sysfs-devices-edac). */
export function createMemorySensor(root: SensorRoot): Sensor {
	const layouts = new Map<string, Layout>();
	return {
		kind: "memory",
		async read() {
			const parts = await readMemory(root, layouts);
			return { changes: memoryChanges(parts), judge: (increases) => judgeMemory(parts, increases) };
		},
	};
}

/** `layouts` keeps labels and places between calls: they change with a reboot only, the counters are read every time. */
export async function readMemory(root: SensorRoot, layouts = new Map<string, Layout>()): Promise<MemoryPart[]> {
	const controllers = ((await root.list(edac)) ?? []).filter((name) => /^mc\d{1,4}$/.test(name));
	const parts = await Promise.all(controllers.map((controller) => readController(root, controller, layouts)));
	return parts.flat();
}

async function readController(
	root: SensorRoot,
	controller: string,
	layouts: Map<string, Layout>,
): Promise<MemoryPart[]> {
	const path = `${edac}/${controller}`;
	const known = layouts.get(controller);
	const layout = known ?? (await readLayout(root, controller));
	if (!known && layout.dimms.length > 0) layouts.set(controller, layout);
	const seconds = count(await root.readText(`${path}/seconds_since_reset`));
	const sinceResetMs = seconds === null ? undefined : seconds * 1000;
	// The totals first: an error that comes in between then is in its DIMM's count and never seems to belong to none.
	const [corrected, correctedNowhere, uncorrected, uncorrectedNowhere] = await Promise.all(
		["ce_count", "ce_noinfo_count", "ue_count", "ue_noinfo_count"].map(async (file) =>
			count(await root.readText(`${path}/${file}`)),
		),
	);
	const dimms = await Promise.all(
		layout.dimms.map(async ({ name, component }) => ({
			name: `${controller}.${name}`,
			component,
			path: `${path}/${name}`,
			corrected: count(await root.readText(`${path}/${name}/dimm_ce_count`)),
			uncorrected: count(await root.readText(`${path}/${name}/dimm_ue_count`)),
			sinceResetMs,
		})),
	);
	const uncorrectedOfDimms = dimms.reduce((sum, dimm) => sum + (dimm.uncorrected ?? 0), 0);
	const whole: MemoryPart = {
		name: controller,
		component: `memory controller ${controller}, module not known`,
		path,
		corrected: correctedNowhere ?? (dimms.length === 0 ? (corrected ?? null) : null),
		uncorrected: Math.max(uncorrectedNowhere ?? 0, (uncorrected ?? 0) - uncorrectedOfDimms),
		sinceResetMs,
	};
	if ((uncorrected ?? uncorrectedNowhere ?? null) !== null) return [...dimms, whole];
	return dimms.length > 0 ? dimms : [{ ...whole, uncorrected: null }];
}

async function readLayout(root: SensorRoot, controller: string): Promise<Layout> {
	const path = `${edac}/${controller}`;
	const names = ((await root.list(path)) ?? []).filter((name) => /^(dimm|rank)\d{1,5}$/.test(name));
	const dimms = await Promise.all(
		names.map(async (name) => {
			const label = oneLine((await root.readText(`${path}/${name}/dimm_label`)) ?? "", 80);
			const location = oneLine((await root.readText(`${path}/${name}/dimm_location`)) ?? "", 60);
			const place = `${controller} ${location || name}`;
			return { name, component: label ? `${label} (${place})` : `${name} (${place})` };
		}),
	);
	return { controller, dimms };
}

export function memoryChanges(parts: readonly MemoryPart[]): Change[] {
	return parts.flatMap(({ name, corrected, sinceResetMs }) =>
		corrected === null ? [] : [{ counter: correctedKey(name), total: corrected, sinceResetMs }],
	);
}

/**
 * An uncorrected error that the host outlived fails it at once, also one from before the agent's first look: the counter
 * counts since the driver was loaded, which the host has survived since. Corrected ones go by their rate.
 */
export function judgeMemory(parts: readonly MemoryPart[], increases: Increases): Judgement {
	if (parts.length === 0) {
		const reason = "no EDAC driver is loaded: memory errors cannot be seen";
		return { symptoms: [], unseen: [{ keyPrefix: "memory/", reason }] };
	}
	const unseen = parts
		.filter(({ corrected, uncorrected }) => corrected === null && uncorrected === null)
		.map(({ name, component }) => ({
			keyPrefix: `memory/${keyPart(name)}/`,
			reason: `the error counters of ${component} cannot be read`,
		}));
	return { symptoms: parts.flatMap((part) => [...uncorrectedOf(part), ...correctedOf(part, increases)]), unseen };
}

function uncorrectedOf({ name, component, path, uncorrected, sinceResetMs }: MemoryPart): Symptom[] {
	if (uncorrected === null || uncorrected === 0) return [];
	return [
		symptom({
			key: `memory/${keyPart(name)}/uncorrectedErrors`,
			component,
			signal: "uncorrectedErrors",
			severity: "failing",
			value: uncorrected,
			threshold: 1,
			unit: "errors",
			windowMs: sinceResetMs ?? 0,
			rule: "any uncorrected memory error since the server started",
			raw: `${path}: ${uncorrected} uncorrected errors`,
			oneShot: true,
		}),
	];
}

function correctedOf({ name, component, path, corrected }: MemoryPart, increases: Increases): Symptom[] {
	const counter = correctedKey(name);
	const perDay = Math.floor(increases.within(counter, dayMs));
	const perMinute = Math.floor(increases.within(counter, minuteMs));
	const raw = `${path}: ${corrected ?? "an unknown number of"} corrected errors, at a rate of ${perDay} in 24 h and ${perMinute} in the last minute`;
	const common = { component, unit: "errors", raw };
	const symptoms: Symptom[] = [];
	if (perDay >= watchPerDay) {
		const degraded = perDay >= degradedPerDay;
		const threshold = degraded ? degradedPerDay : watchPerDay;
		symptoms.push(
			symptom({
				...common,
				key: counter,
				signal: "correctedErrors",
				severity: degraded ? "degraded" : "watch",
				value: perDay,
				threshold,
				windowMs: dayMs,
				rule: `at least ${threshold} corrected errors of one module in 24 h`,
			}),
		);
	}
	if (perMinute >= stormPerMinute) {
		symptoms.push(
			symptom({
				...common,
				key: `memory/${keyPart(name)}/correctedErrorStorm`,
				signal: "correctedErrorStorm",
				severity: "degraded",
				value: perMinute,
				threshold: stormPerMinute,
				windowMs: minuteMs,
				rule: `at least ${stormPerMinute} corrected errors of one module in a minute`,
			}),
		);
	}
	return symptoms;
}

function correctedKey(name: string): string {
	return `memory/${keyPart(name)}/correctedErrors`;
}
