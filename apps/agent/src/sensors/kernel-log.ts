import { carries, type Relevance } from "./block-devices.ts";
import type { Change, Increases } from "./counters.ts";
import { type KernelPattern, kernelPatterns } from "./kernel-patterns.ts";
import type { LogFollower } from "./log-follower.ts";
import type { SensorRoot } from "./root.ts";
import { dayMs, type Judgement, keyPart, oneLine, type Sensor, symptom } from "./sensor.ts";

const logPath = "/dev/kmsg";

export interface KernelRecord {
	sequence: number;
	/** Since the kernel started. */
	sinceBootMs: number;
	text: string;
}

/** How far the log of one boot was read. */
export interface LogPosition {
	bootId: string;
	sequence: number;
}

export interface KernelSensor extends Sensor {
	position(): LogPosition;
	close(): Promise<void>;
}

/**
 * Errors in the kernel's log. `resume` is where an earlier life of the agent stopped reading; in the same boot what was
 * read then is skipped. Records of before the first look count at the time they were written.
 */
export function createKernelSensor(options: {
	root: SensorRoot;
	bootId: string;
	resume: LogPosition | null;
	relevance: () => Promise<Relevance>;
	importantNics: readonly string[];
}): KernelSensor {
	const { root, bootId, importantNics } = options;
	const readBefore = options.resume?.bootId === bootId ? options.resume.sequence : -1;
	let sequence = readBefore;
	let inBacklog = true;
	let follower: LogFollower | null = null;
	return {
		kind: "kernel",
		async read(at) {
			follower ??= await root.followLog(logPath);
			const relevance = await options.relevance();
			const records = (follower ? await follower.readNew() : []).flatMap((line) => parseRecord(line) ?? []);
			const fresh = inBacklog ? records.filter((record) => record.sequence > readBefore) : records;
			if (follower && records.length === 0) inBacklog = false;
			for (const record of fresh) sequence = Math.max(sequence, record.sequence);
			const uptimeMs = parseUptime(await root.readText("/proc/uptime"));
			const readable = follower !== null;
			return {
				changes: fresh.flatMap((record) => kernelChanges(record, at, uptimeMs)),
				judge: (increases) => judgeKernelLog({ readable, relevance, importantNics }, increases),
			};
		},
		position: () => ({ bootId, sequence }),
		close: async () => follower?.close(),
	};
}

/**
 * Parses `priority,sequence,microseconds,flags;text` (kernel Documentation/ABI/testing/dev-kmsg). Null for anything
 * else and for what programs wrote into the log: only the kernel has facility 0, so nobody can fake a failure here.
 */
export function parseRecord(line: string): KernelRecord | null {
	const match = /^(\d{1,5}),(\d{1,16}),(\d{1,16}),[^;]{0,100};(.*)$/s.exec(line.slice(0, 1200));
	if (!match) return null;
	const [, priority, sequence, microseconds, text = ""] = match;
	if (Number(priority) >> 3 !== 0) return null;
	return { sequence: Number(sequence), sinceBootMs: Number(microseconds) / 1000, text: text.slice(0, 1000) };
}

/** Milliseconds since boot; null when unknown. */
export function parseUptime(text: string | null): number | null {
	const seconds = /^(\d{1,12}(?:\.\d{1,6})?) /.exec(text ?? "")?.[1];
	return seconds === undefined ? null : Number(seconds) * 1000;
}

/** The event that a record tells of, if any. Without the uptime it counts as happening now. */
export function kernelChanges(record: KernelRecord, now: number, uptimeMs: number | null): Change[] {
	for (const { signal, pattern } of kernelPatterns) {
		const match = pattern.exec(record.text);
		if (!match) continue;
		const ageMs = uptimeMs === null ? 0 : Math.max(0, uptimeMs - record.sinceBootMs);
		if (ageMs > dayMs) return [];
		const part = keyPart(match.groups?.part ?? "host");
		const at = Math.max(0, Math.floor(now - ageMs));
		return [{ counter: `kernel/${part}/${signal}`, events: 1, at, note: oneLine(record.text, 1000) }];
	}
	return [];
}

interface KernelSituation {
	readable: boolean;
	relevance: Relevance;
	importantNics: readonly string[];
}

/** Compares how often each kind of message came about each part with the rates of the table. */
export function judgeKernelLog(situation: KernelSituation, increases: Increases): Judgement {
	const symptoms = increases.names("kernel/").flatMap((key) => {
		const [, part = "", signal] = key.split("/");
		const pattern = kernelPatterns.find((one) => one.signal === signal);
		const rate = pattern?.rates.find(({ count, windowMs }) => increases.within(key, windowMs) >= count);
		if (!pattern || !rate) return [];
		const value = increases.within(key, rate.windowMs);
		return [
			symptom({
				key,
				component: componentOf(pattern, part),
				signal: pattern.signal,
				severity: rate.severity,
				value,
				threshold: rate.count,
				unit: "messages",
				windowMs: rate.windowMs,
				rule: `at least ${rate.count} such ${rate.count === 1 ? "message" : "messages"} of the kernel in ${sayWindow(rate.windowMs)}`,
				raw: increases.note(key),
				relevant: isRelevant(pattern, part, situation),
				oneShot: pattern.oneShot ?? false,
			}),
		];
	});
	const reason = "the kernel log /dev/kmsg cannot be read";
	return { symptoms, unseen: situation.readable ? [] : [{ keyPrefix: "kernel/", reason }] };
}

function componentOf({ part: kind }: KernelPattern, part: string): string {
	if (kind === "block") return `/dev/${part}`;
	if (kind === "memory") return part === "host" ? "memory" : `memory ${part}`;
	return part === "host" ? "this server" : part;
}

function isRelevant(
	{ part: kind }: KernelPattern,
	part: string,
	{ relevance, importantNics }: KernelSituation,
): boolean {
	if (kind === "nic") return importantNics.length === 0 || importantNics.includes(part);
	if (kind !== "block" || relevance === null) return true;
	// An NVMe controller (nvme0) carries its namespaces (nvme0n1).
	return (
		carries(relevance, part) || (/^nvme\d+$/.test(part) && [...relevance].some((name) => name.startsWith(`${part}n`)))
	);
}

function sayWindow(windowMs: number): string {
	if (windowMs >= dayMs) return "24 h";
	return windowMs >= 3_600_000 ? "1 h" : `${windowMs / 60_000} min`;
}
