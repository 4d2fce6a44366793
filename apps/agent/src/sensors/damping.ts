import { Finding, SensorKind, Severity } from "@sterna/shared/health";
import { z } from "zod";
import { dayMs, hourMs, type Judgement, type Symptom, severityRank } from "./sensor.ts";

/** Between the two samples that confirm a degraded or failing part. */
export const confirmAfterMs = 30_000;
/** How long a part must be watched without trouble before its finding goes by itself. */
export const clearAfterMs = dayMs;
/** A longer pause between two samples counts as this much: what was not watched was not clean. */
const maxStepMs = hourMs;

const Level = z.strictObject({
	severity: Severity,
	/** The readings when this level was last seen. */
	evidence: Finding,
	/** Seen without a break since; null when the latest sample was below this level. */
	unbrokenSince: z.number().nullable(),
	confirmed: z.boolean(),
	/** Watched time without this level. */
	cleanMs: z.number().min(0),
});
type Level = z.infer<typeof Level>;

const Track = z.strictObject({
	key: z.string().max(300),
	sensor: SensorKind,
	firstSeenAt: z.number(),
	/** A person or policy accepted the part up to this value; a higher one is news. */
	releasedAt: z.number().nullable(),
	lastValue: z.number(),
	levels: z.array(Level).max(3),
});
type Track = z.infer<typeof Track>;

export const DampingState = z.strictObject({
	tracks: z.array(Track).max(5000),
	sampledAt: z.partialRecord(SensorKind, z.number()),
});
export type DampingState = z.infer<typeof DampingState>;

/**
 * Turns symptoms, which come and go with every sample, into findings that stand still:
 * a level above `watch` needs two samples at least 30 s apart and none below it in between, except one-shot symptoms;
 * until then it is shown as `watch`. A level goes after 24 h of watching without it, or when it is released.
 * No I/O, no clock: the same calls give the same findings.
 */
export class Damping {
	readonly #tracks: Map<string, Track>;
	readonly #sampledAt: Map<SensorKind, number>;

	constructor(state: DampingState = { tracks: [], sampledAt: {} }) {
		this.#tracks = new Map(state.tracks.map((track) => [track.key, track]));
		this.#sampledAt = new Map(
			SensorKind.options.flatMap((kind) => {
				const at = state.sampledAt[kind];
				return at === undefined ? [] : [[kind, at] as const];
			}),
		);
	}

	/** Takes one sample of one sensor. */
	apply(sensor: SensorKind, judgement: Judgement, at: number): void {
		const stepMs = Math.min(Math.max(0, at - (this.#sampledAt.get(sensor) ?? at)), maxStepMs);
		this.#sampledAt.set(sensor, at);
		const symptoms = worstByKey(judgement.symptoms);
		for (const [key, track] of this.#tracks) {
			if (track.sensor !== sensor) continue;
			const symptom = symptoms.get(key);
			if (!symptom && judgement.unseen.some(({ keyPrefix }) => key.startsWith(keyPrefix))) continue;
			if (!symptom) track.releasedAt = null;
			const isNews = symptom && (track.releasedAt === null || symptom.value > track.releasedAt);
			if (isNews) track.releasedAt = null;
			track.levels = nextLevels(track, isNews ? symptom : null, at, stepMs);
			if (symptom) track.lastValue = symptom.value;
			if (track.levels.length === 0 && track.releasedAt === null) this.#tracks.delete(key);
		}
		for (const [key, symptom] of symptoms) {
			if (this.#tracks.has(key)) continue;
			const track = { key, sensor, firstSeenAt: at, releasedAt: null, lastValue: symptom.value, levels: [] };
			this.#tracks.set(key, { ...track, levels: nextLevels(track, symptom, at, 0) });
		}
	}

	/** Everything that is wrong, worst first. */
	findings(): Finding[] {
		const findings: Finding[] = [];
		for (const track of this.#tracks.values()) {
			const shown = track.levels.find((level) => level.confirmed);
			if (shown) findings.push({ ...shown.evidence, severity: shown.severity, firstSeenAt: track.firstSeenAt });
		}
		return findings.sort(
			(a, b) => severityRank(b.severity) - severityRank(a.severity) || a.firstSeenAt - b.firstSeenAt,
		);
	}

	/**
	 * A person or policy says that the part is fine again. Trouble that is still there stays accepted until it gets
	 * worse or goes and comes back. False when there is no such finding.
	 */
	release(key: string): boolean {
		const track = this.#tracks.get(key);
		if (!track || track.levels.length === 0) return false;
		track.levels = [];
		track.releasedAt = track.lastValue;
		return true;
	}

	/** True while a sample waits for a second one to confirm it. */
	awaitsConfirmation(sensor: SensorKind): boolean {
		for (const track of this.#tracks.values()) {
			if (track.sensor === sensor && track.levels.some((level) => !level.confirmed)) return true;
		}
		return false;
	}

	toJSON(): DampingState {
		return { tracks: [...this.#tracks.values()], sampledAt: Object.fromEntries(this.#sampledAt) };
	}
}

/** The levels of a track after one more sample, worst first. A symptom counts for its own level and those below. */
function nextLevels(track: Track, symptom: Symptom | null, at: number, stepMs: number): Level[] {
	const levels: Level[] = [];
	for (const severity of ["failing", "degraded", "watch"] as const) {
		const before = track.levels.find((level) => level.severity === severity);
		if (symptom && severityRank(symptom.severity) >= severityRank(severity)) {
			const unbrokenSince = before?.unbrokenSince ?? at;
			const certain = severity === "watch" || symptom.oneShot || at - unbrokenSince >= confirmAfterMs;
			levels.push({
				severity,
				evidence: evidenceOf(symptom, track, at),
				unbrokenSince,
				confirmed: certain || before?.confirmed === true,
				cleanMs: 0,
			});
		} else if (before?.confirmed && before.cleanMs + stepMs < clearAfterMs) {
			levels.push({ ...before, unbrokenSince: null, cleanMs: before.cleanMs + stepMs });
		}
	}
	return levels;
}

function evidenceOf(symptom: Symptom, track: Track, at: number): Finding {
	const { oneShot, ...readings } = symptom;
	return { ...readings, sensor: track.sensor, firstSeenAt: track.firstSeenAt, lastSeenAt: at };
}

function worstByKey(symptoms: readonly Symptom[]): Map<string, Symptom> {
	const worst = new Map<string, Symptom>();
	for (const symptom of symptoms) {
		const other = worst.get(symptom.key);
		if (!other || severityRank(symptom.severity) > severityRank(other.severity)) worst.set(symptom.key, symptom);
	}
	return worst;
}
