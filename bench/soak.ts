import type { Demo } from "../demo/demo.ts";
import { until } from "../demo/until.ts";
import { median } from "./statistics.ts";

/** What `./sterna bench soak` prints. Times in milliseconds. */
export interface SoakResult {
	moves: number;
	ok: number;
	missedHeartbeats: number;
	duplicateHeartbeats: number;
	/** Errors that the guests found when they read back what they wrote, on disk and in memory. */
	diskErrors: number;
	memoryErrors: number;
	restarts: number;
	/** Longest silence between two heartbeats during a move, seen from outside, less the time that usually lies between two. */
	downtimeMs: { p50: number; max: number };
	totalMs: { p50: number };
	heartbeatEveryMs: number;
	withLocalDisks: number;
}

const beatMs = 20;
const guests = [
	{ name: "soak-local", pool: "local", load: "writer", beatMs },
	{ name: "soak-shared", pool: "shared", load: "writer", beatMs },
] as const;

/**
 * Moves guests that write memory and disk back and forth between two servers, `moves` times: first half with local disks
 * (memory and disk are copied), second half with a shared pool (memory only). One guest runs at a time.
 */
export async function soak(demo: Demo, moves: number, say: (line: string) => void): Promise<SoakResult> {
	const result: SoakResult = {
		moves,
		ok: 0,
		missedHeartbeats: 0,
		duplicateHeartbeats: 0,
		diskErrors: 0,
		memoryErrors: 0,
		restarts: 0,
		downtimeMs: { p50: 0, max: 0 },
		totalMs: { p50: 0 },
		heartbeatEveryMs: beatMs,
		withLocalDisks: Math.ceil(moves / 2),
	};
	const downtimes: number[] = [];
	const totals: number[] = [];
	for (const [turn, wish] of guests.entries()) {
		const guestId = await demo.addGuest(wish);
		const count = turn === 0 ? Math.ceil(moves / 2) : Math.floor(moves / 2);
		for (let move = 1; move <= count; move++) {
			const { totalMs, silenceMs, failure } = await moveOnce(demo, guestId, wish.name);
			if (failure) say(`${wish.name} move ${move}: ${failure}`);
			else {
				result.ok++;
				totals.push(totalMs);
				downtimes.push(Math.max(0, silenceMs - beatMs));
				say(`${wish.name} move ${move} of ${count}: ${totalMs} ms, silent ${Math.round(silenceMs)} ms`);
			}
		}
		const written = demo.heartbeats.pulse(wish.name)?.diskRecords ?? 0;
		await demo.heartbeats.waitFor(wish.name, "its disk log to go on", (pulse) => pulse.diskRecords > written, 60_000);
		const pulse = demo.heartbeats.pulse(wish.name);
		if (!pulse) throw new Error(`${wish.name} was never heard`);
		result.missedHeartbeats += pulse.missed;
		result.duplicateHeartbeats += pulse.duplicates;
		result.diskErrors += pulse.diskErrors;
		result.memoryErrors += pulse.memoryErrors;
		result.restarts += pulse.boots.length - 1;
		await demo.api.guests.powerOff.mutate({ guestId });
	}
	if (downtimes.length > 0) {
		result.downtimeMs = { p50: Math.round(median(downtimes)), max: Math.round(Math.max(...downtimes)) };
		result.totalMs = { p50: Math.round(median(totals)) };
	}
	return result;
}

/** One move by the console's API, as a person would ask for it. */
async function moveOnce(demo: Demo, guestId: string, name: string) {
	const { api, heartbeats } = demo;
	heartbeats.resetGap(name);
	const startedAt = performance.now();
	const { migrationId } = await api.guests.migrate.mutate({ guestId });
	let state = "running";
	let failure: string | null = null;
	await until(`the end of a move of ${name}`, 180_000, async () => {
		const view = await api.migrations.get.query({ migrationId });
		state = view.state;
		failure = view.errorMessage;
		return ["completed", "failed", "cancelled"].includes(state);
	});
	const totalMs = Math.round(performance.now() - startedAt);
	const heard = heartbeats.pulse(name)?.lastSeq ?? 0;
	await heartbeats.waitFor(name, "heartbeats after the move", (pulse) => pulse.lastSeq > heard + 5, 20_000);
	const silenceMs = heartbeats.pulse(name)?.longestGapMs ?? 0;
	return { totalMs, silenceMs, failure: state === "completed" ? null : (failure ?? state) };
}
