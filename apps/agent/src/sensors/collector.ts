import type { Finding, SensorKind } from "@sterna/shared/health";
import { maxFindingsPerHost } from "@sterna/shared/protocol/report";
import type { Logger } from "pino";
import type { Clock } from "../context.ts";
import { type Relevance, readRelevance } from "./block-devices.ts";
import { CounterHistory } from "./counters.ts";
import { confirmAfterMs, Damping } from "./damping.ts";
import { createDiskSensor } from "./disk.ts";
import { createFilesystemSensor, type PoolPlace } from "./filesystem.ts";
import { createKernelSensor, type KernelSensor } from "./kernel-log.ts";
import { createMemorySensor } from "./memory.ts";
import { createNetworkSensor } from "./network.ts";
import type { SensorRoot } from "./root.ts";
import { type Judgement, minuteMs, type Sensor, symptom } from "./sensor.ts";
import { readSensorState, type SensorState, writeSensorState } from "./state-file.ts";
import { createTemperatureSensor } from "./temperature.ts";

/** The wall clock and its timers. */
export interface SensorClock extends Clock {
	/** Runs `task` once after `delayMs`; returns the way to call it off. */
	after(delayMs: number, task: () => void): () => void;
}

export const systemClock: SensorClock = {
	now: () => Date.now(),
	after(delayMs, task) {
		const timer = setTimeout(task, delayMs);
		return () => clearTimeout(timer);
	},
};

export interface CollectorOptions {
	root: SensorRoot;
	/** File in which the sensors remember; its folder exists. */
	statePath: string;
	bootId: string;
	pools: readonly PoolPlace[];
	importantNics: readonly string[];
	/** Where the defaults do not suit. */
	periodsMs?: Partial<Record<SensorKind, number>>;
	clock: SensorClock;
	log: Logger;
	/** Called with all findings when one came, went or got worse, and at most every 10 s when only readings changed. */
	onChange(findings: Finding[]): void;
}

const defaultPeriodsMs: Record<SensorKind, number> = {
	memory: 1000,
	kernel: 1000,
	network: 10_000,
	temperature: 30_000,
	filesystem: 30_000,
	disk: 30 * minuteMs,
};
/** A probe that takes longer is a finding itself. The disks' tools have deadlines of their own, one by one. */
const hungAfterMs = (kind: SensorKind) => (kind === "disk" ? 15 * minuteMs : 30_000);
const tellReadingsEveryMs = 10_000;
const saveEveryMs = 5 * minuteMs;
const relevanceHoldsMs = minuteMs;

/** Runs the sensors and keeps what they find. Nothing is read before `start` or `sample`. */
export class SensorCollector {
	readonly #options: CollectorOptions;
	readonly #sensors: Map<SensorKind, Sensor>;
	readonly #kernel: KernelSensor;
	readonly #history: CounterHistory;
	readonly #damping: Damping;
	readonly #running = new Map<SensorKind, Promise<void>>();
	readonly #timers = new Map<SensorKind, () => void>();
	readonly #unseen = new Map<SensorKind, string[]>();
	#relevance: { at: number; value: Promise<Relevance> } | null = null;
	#toldShape: string;
	#told: string;
	#toldAt = 0;
	#savedAt: number;
	#saving: Promise<void> = Promise.resolve();
	#closed = false;

	/** Takes up what an earlier life of the agent remembered. What cannot be read is logged and begun anew. */
	static async open(options: CollectorOptions): Promise<SensorCollector> {
		let state: SensorState | null = null;
		try {
			state = await readSensorState(options.statePath);
		} catch (err) {
			options.log.warn({ err, path: options.statePath }, "the sensors begin without memory");
		}
		return new SensorCollector(options, state);
	}

	private constructor(options: CollectorOptions, state: SensorState | null) {
		const { root, pools, importantNics, bootId } = options;
		this.#options = options;
		this.#history = new CounterHistory(state?.counters);
		this.#damping = new Damping(state?.damping);
		const relevance = () => this.#readRelevance();
		this.#kernel = createKernelSensor({ root, bootId, relevance, importantNics, resume: state?.kernelLog ?? null });
		const sensors = [
			createMemorySensor(root),
			this.#kernel,
			createNetworkSensor(root, importantNics),
			createTemperatureSensor(root),
			createFilesystemSensor(root, pools),
			createDiskSensor(root, relevance),
		];
		this.#sensors = new Map(sensors.map((sensor) => [sensor.kind, sensor]));
		this.#savedAt = options.clock.now();
		this.#toldShape = shapeOf(this.findings());
		this.#told = JSON.stringify(this.findings());
	}

	/** Takes the first sample of every sensor at once, then each at its period. */
	start(): void {
		for (const kind of this.#sensors.keys()) void this.sample(kind);
	}

	/** Everything that is wrong, worst first. */
	findings(): Finding[] {
		return this.#damping.findings().slice(0, maxFindingsPerHost);
	}

	/** What cannot be seen on this server and why, as sentences: unknown is not healthy. */
	blindSpots(): string[] {
		return [...this.#unseen.values()].flat();
	}

	/**
	 * Takes one sample now, or waits for the one under way; never rejects. The next comes after the sensor's period,
	 * sooner while a reading awaits its confirmation.
	 */
	sample(kind: SensorKind): Promise<void> {
		const running = this.#running.get(kind);
		if (running || this.#closed) return running ?? Promise.resolve();
		this.#timers.get(kind)?.();
		const run = this.#sample(kind).finally(() => {
			this.#running.delete(kind);
			this.#schedule(kind);
		});
		this.#running.set(kind, run);
		return run;
	}

	/** A person or policy says that the part is fine again. False when there is no such finding. */
	release(key: string): boolean {
		const released = this.#damping.release(key);
		if (released) this.#tell();
		return released;
	}

	/** Stops the timers, waits for the last write of the memory. A hung probe is left behind. */
	async close(): Promise<void> {
		this.#closed = true;
		for (const cancel of this.#timers.values()) cancel();
		this.#save();
		await this.#saving;
		await this.#kernel.close();
	}

	async #sample(kind: SensorKind): Promise<void> {
		const { clock, log, bootId } = this.#options;
		const sensor = this.#sensors.get(kind);
		if (!sensor) return;
		const stopWatching = this.#watchForHanging(kind, clock.now());
		try {
			const reading = await sensor.read(clock.now());
			if (this.#closed) return;
			const at = clock.now();
			this.#history.record(reading.changes, at, bootId);
			this.#apply(kind, reading.judge(this.#history.at(at)));
		} catch (err) {
			log.error({ err, sensor: kind }, "a sensor could not be read");
			this.#apply(kind, blind(`the ${kind} sensor failed; the log of the agent says why`));
		} finally {
			stopWatching();
		}
	}

	/** While a probe hangs, nothing else that this sensor found can clear. */
	#watchForHanging(kind: SensorKind, startedAt: number): () => void {
		const { clock } = this.#options;
		const limitMs = hungAfterMs(kind);
		let cancel = () => {};
		const look = () => {
			if (this.#closed) return;
			const forMs = clock.now() - startedAt;
			const unseen = blind(`the ${kind} sensor has not answered for ${Math.round(forMs / 1000)} s`);
			this.#apply(kind, { ...unseen, symptoms: [hungProbe(kind, forMs, limitMs)] });
			cancel = clock.after(confirmAfterMs, look);
		};
		cancel = clock.after(limitMs, look);
		return () => cancel();
	}

	#apply(kind: SensorKind, judgement: Judgement): void {
		this.#damping.apply(kind, judgement, this.#options.clock.now());
		this.#unseen.set(
			kind,
			judgement.unseen.map(({ reason }) => reason),
		);
		this.#tell();
	}

	#tell(): void {
		const now = this.#options.clock.now();
		const findings = this.findings();
		const shape = shapeOf(findings);
		const all = JSON.stringify(findings);
		const changed = shape !== this.#toldShape;
		if (changed || (all !== this.#told && Math.abs(now - this.#toldAt) >= tellReadingsEveryMs)) {
			this.#toldShape = shape;
			this.#told = all;
			this.#toldAt = now;
			this.#options.onChange(findings);
		}
		if (changed || Math.abs(now - this.#savedAt) >= saveEveryMs) this.#save();
	}

	/** Best effort: a full disk must not stop the sensors. Writes follow each other. */
	#save(): void {
		const { clock, log, statePath } = this.#options;
		this.#savedAt = clock.now();
		this.#history.prune(this.#savedAt);
		const state = structuredClone({
			version: 1 as const,
			counters: this.#history.toJSON(),
			damping: this.#damping.toJSON(),
			kernelLog: this.#kernel.position(),
		});
		this.#saving = this.#saving
			.then(() => writeSensorState(statePath, state))
			.catch((err) => log.warn({ err }, "what the sensors remember could not be written"));
	}

	#schedule(kind: SensorKind): void {
		if (this.#closed) return;
		const periodMs = this.#options.periodsMs?.[kind] ?? defaultPeriodsMs[kind];
		const delayMs = this.#damping.awaitsConfirmation(kind) ? Math.min(periodMs, confirmAfterMs) : periodMs;
		this.#timers.set(
			kind,
			this.#options.clock.after(delayMs, () => void this.sample(kind)),
		);
	}

	#readRelevance(): Promise<Relevance> {
		const { clock, root, pools } = this.#options;
		const now = clock.now();
		if (!this.#relevance || Math.abs(now - this.#relevance.at) >= relevanceHoldsMs) {
			this.#relevance = { at: now, value: readRelevance(root, ["/", ...pools.map(({ path }) => path)]) };
		}
		return this.#relevance.value;
	}
}

/** What makes a change news: not the readings, but what is found and how bad it is. */
function shapeOf(findings: readonly Finding[]): string {
	return findings.map(({ key, severity, relevant, rule }) => `${key} ${severity} ${relevant} ${rule}`).join("\n");
}

function blind(reason: string): Judgement {
	return { symptoms: [], unseen: [{ keyPrefix: "", reason }] };
}

function hungProbe(kind: SensorKind, forMs: number, limitMs: number) {
	return symptom({
		key: `probe/${kind}/hung`,
		component: `${kind} sensor`,
		signal: "probeHung",
		severity: "degraded",
		value: Math.round(forMs / 1000),
		threshold: limitMs / 1000,
		unit: "s",
		windowMs: forMs,
		rule: `the ${kind} sensor did not answer within ${limitMs / 1000} s`,
		raw: `no answer for ${Math.round(forMs / 1000)} s`,
	});
}
