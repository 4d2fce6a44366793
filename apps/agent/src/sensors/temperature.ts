import type { Severity } from "@sterna/shared/health";
import type { Change, Increases } from "./counters.ts";
import type { SensorRoot } from "./root.ts";
import {
	count,
	type Judgement,
	keyPart,
	minuteMs,
	oneLine,
	type Sensor,
	type Symptom,
	symptom,
	wholeNumber,
} from "./sensor.ts";

/** A place where the temperature is measured, with the limit that the hardware names. */
export interface Thermometer {
	name: string;
	component: string;
	celsius: number | null;
	criticalCelsius: number | null;
	/** The chip itself says that the limit is passed. */
	alarm: boolean;
	path: string;
}

/** How long a CPU was slowed down by heat since the driver was loaded. */
export interface Throttle {
	package: string;
	counter: string;
	totalMs: number;
}

const marginCelsius = 5;
const throttleWindowMs = 10 * minuteMs;
const watchShare = 0.05;
const degradedShare = 0.2;

/** Temperatures of hwmon and thermal zones, and CPUs slowed by heat. */
export function createTemperatureSensor(root: SensorRoot): Sensor {
	return {
		kind: "temperature",
		async read() {
			const [thermometers, throttles] = await Promise.all([readThermometers(root), readThrottles(root)]);
			return {
				changes: throttles.map(({ counter, totalMs }): Change => ({ counter, total: totalMs })),
				judge: (increases) => judgeTemperature(thermometers, throttles, increases),
			};
		},
	};
}

export async function readThermometers(root: SensorRoot): Promise<Thermometer[]> {
	const [chips, zones] = await Promise.all([root.list("/sys/class/hwmon"), root.list("/sys/class/thermal")]);
	const read = await Promise.all([
		...(chips ?? []).map((chip) => readChip(root, `/sys/class/hwmon/${chip}`, chip)),
		...(zones ?? [])
			.filter((zone) => zone.startsWith("thermal_zone"))
			.map((zone) => readZone(root, `/sys/class/thermal/${zone}`, zone)),
	]);
	return read.flat();
}

async function readChip(root: SensorRoot, path: string, chip: string): Promise<Thermometer[]> {
	const inputs = ((await root.list(path)) ?? []).flatMap((file) => /^(temp\d{1,3})_input$/.exec(file)?.[1] ?? []);
	const chipName = oneLine((await root.readText(`${path}/name`)) ?? chip, 40);
	return Promise.all(
		inputs.map(async (input) => {
			const [value, limit, alarm, label] = await Promise.all(
				["input", "crit", "crit_alarm", "label"].map((file) => root.readText(`${path}/${input}_${file}`)),
			);
			return {
				name: `${keyPart(chip)}.${input}`,
				component: `${chipName} ${oneLine(label ?? input, 60)}`,
				celsius: celsius(value ?? null),
				criticalCelsius: limitOf(celsius(limit ?? null)),
				alarm: wholeNumber(alarm ?? null) === 1,
				path: `${path}/${input}_input`,
			};
		}),
	);
}

async function readZone(root: SensorRoot, path: string, zone: string): Promise<Thermometer[]> {
	const [type, value, files] = await Promise.all([
		root.readText(`${path}/type`),
		root.readText(`${path}/temp`),
		root.list(path),
	]);
	let limit: number | null = null;
	for (const file of files ?? []) {
		if (!/^trip_point_\d{1,3}_type$/.test(file)) continue;
		if ((await root.readText(`${path}/${file}`))?.trim() !== "critical") continue;
		limit = celsius(await root.readText(`${path}/${file.replace(/type$/, "temp")}`));
	}
	return [
		{
			name: keyPart(zone),
			component: `${oneLine(type ?? zone, 60)} (${keyPart(zone)})`,
			celsius: celsius(value),
			criticalCelsius: limitOf(limit),
			alarm: false,
			path: `${path}/temp`,
		},
	];
}

/** Millidegrees as the kernel writes them; null for what no thermometer in a server can mean. */
function celsius(text: string | null): number | null {
	const value = wholeNumber(text);
	return value === null || value < -40_000 || value > 150_000 ? null : value / 1000;
}

/** Firmware writes 0 or less where it knows no limit. */
function limitOf(value: number | null): number | null {
	return value !== null && value >= 40 ? value : null;
}

/** Only Intel CPUs count this; absent means unknown. */
export async function readThrottles(root: SensorRoot): Promise<Throttle[]> {
	const cpus = ((await root.list("/sys/devices/system/cpu")) ?? []).filter((name) => /^cpu\d{1,5}$/.test(name));
	const read = await Promise.all(
		cpus.map(async (cpu) => {
			const path = `/sys/devices/system/cpu/${cpu}`;
			const totals = await Promise.all(
				["core", "package"].map(async (scope) => ({
					scope,
					totalMs: count(await root.readText(`${path}/thermal_throttle/${scope}_throttle_total_time_ms`)),
				})),
			);
			if (totals.every(({ totalMs }) => totalMs === null)) return [];
			const packageId = count(await root.readText(`${path}/topology/physical_package_id`)) ?? 0;
			return totals.flatMap(({ scope, totalMs }) =>
				totalMs === null
					? []
					: [{ package: `package${packageId}`, counter: `temperature/${cpu}/${scope}ThrottledMs`, totalMs }],
			);
		}),
	);
	return read.flat();
}

export function judgeTemperature(
	thermometers: readonly Thermometer[],
	throttles: readonly Throttle[],
	increases: Increases,
): Judgement {
	const dark = thermometers.filter(({ celsius, alarm }) => celsius === null && !alarm);
	const unseen = dark.map(({ name, component }) => ({
		keyPrefix: `temperature/${name}/`,
		reason: `the temperature of ${component} cannot be read`,
	}));
	if (thermometers.length === 0 && throttles.length === 0) {
		unseen.push({ keyPrefix: "temperature/", reason: "this server shows no thermometers" });
	}
	return { symptoms: [...thermometers.flatMap(judgeThermometer), ...judgeThrottles(throttles, increases)], unseen };
}

function judgeThermometer({ name, component, celsius, criticalCelsius, alarm, path }: Thermometer): Symptom[] {
	const hot = (severity: Severity, threshold: number, rule: string) => [
		symptom({
			key: `temperature/${name}/hot`,
			component,
			signal: "hot",
			severity,
			value: celsius ?? threshold,
			threshold,
			unit: "°C",
			rule,
			raw: `${path}: ${celsius ?? "unknown"} °C, critical at ${criticalCelsius ?? "an unknown temperature"}${alarm ? ", alarm" : ""}`,
			oneShot: severity === "failing",
		}),
	];
	if (alarm)
		return hot("failing", criticalCelsius ?? celsius ?? 0, "the chip's own alarm for its critical temperature");
	if (celsius === null || criticalCelsius === null) return [];
	if (celsius >= criticalCelsius) return hot("failing", criticalCelsius, "at or above the critical temperature");
	const threshold = criticalCelsius - marginCelsius;
	return celsius >= threshold
		? hot("degraded", threshold, `within ${marginCelsius} °C of the critical temperature`)
		: [];
}

/** One finding per package, with its worst CPU. */
function judgeThrottles(throttles: readonly Throttle[], increases: Increases): Symptom[] {
	const worst = new Map<string, { share: number; counter: string }>();
	for (const { package: name, counter } of throttles) {
		const share = Math.min(1, increases.within(counter, throttleWindowMs) / throttleWindowMs);
		if (share > (worst.get(name)?.share ?? 0)) worst.set(name, { share, counter });
	}
	return [...worst].flatMap(([name, { share, counter }]) => {
		if (share <= watchShare) return [];
		const threshold = share > degradedShare ? degradedShare : watchShare;
		return [
			symptom({
				key: `temperature/${name}/throttled`,
				component: `CPU ${name}`,
				signal: "throttled",
				severity: share > degradedShare ? "degraded" : "watch",
				value: share * 100,
				threshold: threshold * 100,
				unit: "%",
				windowMs: throttleWindowMs,
				rule: `slowed down by heat for more than ${threshold * 100} % of 10 min`,
				raw: `${counter}: ${Math.round(share * throttleWindowMs)} ms in 10 min`,
			}),
		];
	});
}
