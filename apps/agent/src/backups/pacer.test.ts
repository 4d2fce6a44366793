import type { GuestStats } from "@sterna/hypervisor/hypervisor";
import { MiB } from "@sterna/shared/units";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Pacer } from "./pacer.ts";

beforeEach(() => {
	vi.useFakeTimers();
});
afterEach(() => {
	vi.useRealTimers();
});

const clock = {
	now: () => Date.now(),
	after: (delayMs: number, action: () => void) => {
		const timer = setTimeout(action, delayMs);
		return () => clearTimeout(timer);
	},
};

/** A guest that writes 100 times a second; what its writes take is set from outside. QEMU adds both up. */
class Guest {
	writeMs = 2;
	#at = Date.now();
	#writes = 0;
	#timeMs = 0;

	stats(): GuestStats {
		const writes = (Date.now() - this.#at) / 10;
		this.#at = Date.now();
		this.#writes += writes;
		this.#timeMs += writes * this.writeMs;
		const none = { networkReceiveBytes: 0, networkTransmitBytes: 0, diskReadBytes: 0, diskWriteBytes: 0 };
		return { ...none, cpuTimeMs: 0, memoryResidentBytes: 0, diskWrites: this.#writes, diskWriteTimeMs: this.#timeMs };
	}
}

/** What is read in so many seconds by a run on a disk that gives 400 MiB/s. */
async function readFor(pacer: Pacer, seconds: number): Promise<number> {
	const end = Date.now() + seconds * 1000;
	let bytes = 0;
	const reading = (async () => {
		while (Date.now() < end) {
			await pacer.turn(MiB);
			await new Promise((resolve) => setTimeout(resolve, 2.5));
			bytes += MiB;
		}
	})();
	await vi.advanceTimersByTimeAsync(seconds * 1000 + 1000);
	await reading;
	return bytes / seconds;
}

async function begin(guest: Guest, stats: () => Promise<GuestStats | null> = async () => guest.stats()) {
	const before = guest.stats();
	await vi.advanceTimersByTimeAsync(1000);
	const { signal } = new AbortController();
	return new Pacer({ limitBytesPerSecond: null, clock, signal, stats, before, now: guest.stats() });
}

test("a guest whose writes take longer than before the run slows it down and is named, and well again it does not", async () => {
	const guest = new Guest();
	const pacer = await begin(guest);
	const full = await readFor(pacer, 2);
	expect(pacer.slowedBy).toBeNull();
	guest.writeMs = 9;
	await readFor(pacer, 4);
	expect(pacer.slowedBy).toBe("the guest's writes became slower: they take 9.0 ms, before the run 2.0 ms");
	expect(await readFor(pacer, 2)).toBeLessThan(full / 20);
	guest.writeMs = 2;
	await readFor(pacer, 30);
	expect(pacer.slowedBy).toBeNull();
	expect(await readFor(pacer, 2)).toBeGreaterThan(full * 0.9);
	pacer.end();
});

test("a guest whose process is another one now, or does not answer, holds nothing back", async () => {
	let guest = new Guest();
	let answers = true;
	const pacer = await begin(guest, async () => {
		if (!answers) throw new Error("it does not answer");
		return guest.stats();
	});
	guest = new Guest();
	guest.writeMs = 9;
	await vi.advanceTimersByTimeAsync(600);
	expect(pacer.slowedBy).toBeNull();
	answers = false;
	await readFor(pacer, 2);
	expect(pacer.slowedBy).toBeNull();
	pacer.end();
});
