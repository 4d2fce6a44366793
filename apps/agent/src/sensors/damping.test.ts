import type { Severity } from "@sterna/shared/health";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clearAfterMs, confirmAfterMs, Damping, DampingState } from "./damping.ts";
import { type Judgement, severityRank, symptom } from "./sensor.ts";

const trouble = (severity: Severity, options: { oneShot?: boolean; value?: number; key?: string } = {}) =>
	symptom({
		key: options.key ?? "memory/mc0.dimm0/correctedErrors",
		component: "DIMM_A1",
		signal: "correctedErrors",
		severity,
		value: options.value ?? 1,
		threshold: 1,
		unit: "errors",
		rule: severity,
		raw: "",
		oneShot: options.oneShot ?? false,
	});
const seen = (...symptoms: Judgement["symptoms"]): Judgement => ({ symptoms, unseen: [] });
const clean = seen();
const shown = (damping: Damping) => damping.findings().map(({ severity }) => severity);

/** Clean samples, each a minute after the last. */
function stayClean(damping: Damping, from: number, durationMs: number): number {
	let at = from;
	while (at < from + durationMs) {
		at += 60_000;
		damping.apply("memory", clean, at);
	}
	return at;
}

describe("damping", () => {
	it("shows a degraded part as watch until a second sample thirty seconds later confirms it", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("degraded")), 0);
		expect(shown(damping)).toEqual(["watch"]);
		expect(damping.awaitsConfirmation("memory")).toBe(true);
		damping.apply("memory", seen(trouble("degraded")), confirmAfterMs - 1);
		expect(shown(damping)).toEqual(["watch"]);
		damping.apply("memory", seen(trouble("degraded")), confirmAfterMs);
		expect(shown(damping)).toEqual(["degraded"]);
		expect(damping.awaitsConfirmation("memory")).toBe(false);
	});

	it("believes a one-shot symptom at first sight", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("failing", { oneShot: true })), 0);
		expect(shown(damping)).toEqual(["failing"]);
	});

	it("does not confirm two spikes with a clean sample in between", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("degraded")), 0);
		damping.apply("memory", clean, 20_000);
		damping.apply("memory", seen(trouble("degraded")), 40_000);
		expect(shown(damping)).toEqual(["watch"]);
	});

	it("keeps the time of the first look and the readings of the last", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("watch", { value: 10 })), 1000);
		damping.apply("memory", seen(trouble("watch", { value: 12 })), 5000);
		expect(damping.findings()).toMatchObject([{ firstSeenAt: 1000, lastSeenAt: 5000, value: 12 }]);
	});

	it("clears after twenty-four clean hours, step by step from the worst level", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("failing", { oneShot: true })), 0);
		for (let at = 60_000; at < clearAfterMs; at += 60_000) {
			damping.apply("memory", seen(trouble("watch")), at);
			expect(shown(damping)).toEqual(["failing"]);
		}
		damping.apply("memory", seen(trouble("watch")), clearAfterMs);
		expect(shown(damping)).toEqual(["watch"]);
		expect(stayClean(damping, clearAfterMs, clearAfterMs - 60_000)).toBe(2 * clearAfterMs - 60_000);
		expect(shown(damping)).toEqual(["watch"]);
		damping.apply("memory", clean, 2 * clearAfterMs);
		expect(damping.findings()).toEqual([]);
	});

	it("does not take time without telemetry for clean time", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("failing", { oneShot: true })), 0);
		const blind = { symptoms: [], unseen: [{ keyPrefix: "memory/", reason: "no driver" }] };
		for (let at = 60_000; at < 3 * clearAfterMs; at += 60_000) damping.apply("memory", blind, at);
		// Away for a month, also over a restart; then a clock a year ahead.
		const restarted = new Damping(DampingState.parse(JSON.parse(JSON.stringify(damping))));
		restarted.apply("memory", clean, 30 * clearAfterMs);
		restarted.apply("memory", clean, 395 * clearAfterMs);
		expect(shown(restarted)).toEqual(["failing"]);
		stayClean(restarted, 0, clearAfterMs);
		expect(restarted.findings()).toEqual([]);
	});

	it("leaves the findings of other sensors alone", () => {
		const damping = new Damping();
		damping.apply("memory", seen(trouble("watch")), 0);
		for (let at = 0; at < 2 * clearAfterMs; at += 60_000) damping.apply("disk", clean, at);
		expect(shown(damping)).toEqual(["watch"]);
	});

	it("forgets a released finding until it gets worse, or comes again", () => {
		const damping = new Damping();
		const errors = (value: number) => seen(trouble("failing", { oneShot: true, value }));
		damping.apply("memory", errors(2), 0);
		expect(damping.release("memory/mc0.dimm0/correctedErrors")).toBe(true);
		expect(damping.findings()).toEqual([]);
		damping.apply("memory", errors(2), 1000);
		const restarted = new Damping(DampingState.parse(JSON.parse(JSON.stringify(damping))));
		restarted.apply("memory", errors(2), 2000);
		expect(restarted.findings()).toEqual([]);
		restarted.apply("memory", errors(3), 3000);
		expect(shown(restarted)).toEqual(["failing"]);
		expect(restarted.release("memory/mc0.dimm0/correctedErrors")).toBe(true);
		restarted.apply("memory", clean, 4000);
		restarted.apply("memory", errors(1), 5000);
		expect(shown(restarted)).toEqual(["failing"]);
		expect(restarted.release("memory/another")).toBe(false);
	});

	it("lists the worst first", () => {
		const damping = new Damping();
		const symptoms = [trouble("watch", { key: "a" }), trouble("failing", { key: "b", oneShot: true })];
		damping.apply("memory", seen(...symptoms), 0);
		expect(damping.findings().map(({ key }) => key)).toEqual(["b", "a"]);
	});

	it("never lets a finding fall sooner than twenty-four hours after it was seen, whatever the samples", () => {
		const step = fc.record({
			severity: fc.constantFrom<Severity | null>(null, "watch", "degraded", "failing"),
			oneShot: fc.boolean(),
			pauseMs: fc.integer({ min: 0, max: 2 * 3_600_000 }),
		});
		fc.assert(
			fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
				const damping = new Damping();
				let at = 0;
				let before = -1;
				let lastAtLevel = 0;
				for (const { severity, oneShot, pauseMs } of steps) {
					at += pauseMs;
					damping.apply("memory", severity ? seen(trouble(severity, { oneShot })) : clean, at);
					const [level] = shown(damping);
					const now = level ? severityRank(level) : -1;
					if (severity && severityRank(severity) >= before) lastAtLevel = at;
					if (now < before) expect(at - lastAtLevel).toBeGreaterThanOrEqual(clearAfterMs);
					if (now !== before) lastAtLevel = at;
					before = now;
				}
			}),
			{ numRuns: 500, seed: 41 },
		);
	});
});
