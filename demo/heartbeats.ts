import { createSocket, type Socket } from "node:dgram";
import { z } from "zod";

/** One datagram of a demo guest (see guest/README.md). */
const Heartbeat = z.object({
	guest: z.string().max(63),
	boot: z.string().max(64),
	seq: z.int().min(0),
	disk: z.object({ records: z.int(), errors: z.int() }),
	memory: z.object({ checked: z.int(), errors: z.int() }),
});

/** What the collector has seen of one guest. */
export interface Pulse {
	guest: string;
	/** Boot ids in the order in which they appeared; more than one means that the guest restarted. */
	boots: string[];
	lastSeq: number;
	received: number;
	/** Sequence numbers never seen between the first and the last. Late ones are taken off again. */
	missed: number;
	duplicates: number;
	/** Errors that the guest itself found in its disk log and in its memory. */
	diskErrors: number;
	memoryErrors: number;
	diskRecords: number;
	lastAtMs: number;
	/** Longest silence since `resetGap`, from one datagram to the next by this machine's clock. */
	longestGapMs: number;
}

interface Tracked extends Pulse {
	seen: Set<number>;
	firstSeq: number;
}

/** Listens to the heartbeats of guests: the view from outside, which no agent or console can colour. */
export class HeartbeatCollector {
	readonly #socket: Socket;
	readonly #pulses = new Map<string, Tracked>();
	readonly #listeners = new Set<(pulse: Pulse) => void>();

	private constructor(socket: Socket) {
		this.#socket = socket;
		socket.on("message", (message) => {
			const atMs = performance.now();
			for (const line of message.toString("utf8").split("\n")) if (line.trim()) this.#take(line, atMs);
		});
	}

	/** Binds to `address:port`; port 0 takes a free one. */
	static listen(address: string, port: number): Promise<HeartbeatCollector> {
		return new Promise((resolve, reject) => {
			const socket = createSocket("udp4");
			socket.once("error", reject);
			socket.bind(port, address, () => resolve(new HeartbeatCollector(socket)));
		});
	}

	get port(): number {
		return this.#socket.address().port;
	}

	pulse(guest: string): Pulse | null {
		return this.#pulses.get(guest) ?? null;
	}

	pulses(): Pulse[] {
		return [...this.#pulses.values()];
	}

	/** Begins a new measurement of the longest silence. */
	resetGap(guest: string): void {
		const pulse = this.#pulses.get(guest);
		if (pulse) pulse.longestGapMs = 0;
	}

	/** Waits until `accept` is true of a guest's pulse. Rejects after `timeoutMs`, saying `what` was waited for. */
	waitFor(guest: string, what: string, accept: (pulse: Pulse) => boolean, timeoutMs: number): Promise<Pulse> {
		return new Promise((resolve, reject) => {
			const done = (pulse: Pulse) => {
				if (pulse.guest !== guest || !accept(pulse)) return;
				clearTimeout(timer);
				this.#listeners.delete(done);
				resolve(pulse);
			};
			const timer = setTimeout(() => {
				this.#listeners.delete(done);
				reject(new Error(`${guest}: waited ${timeoutMs} ms for ${what}; last: ${JSON.stringify(this.pulse(guest))}`));
			}, timeoutMs);
			this.#listeners.add(done);
			const now = this.pulse(guest);
			if (now) done(now);
		});
	}

	close(): void {
		this.#socket.close();
	}

	#take(line: string, atMs: number): void {
		let parsed: z.infer<typeof Heartbeat>;
		try {
			parsed = Heartbeat.parse(JSON.parse(line));
		} catch {
			return; // not one of ours: anything may arrive on a socket
		}
		const pulse = this.#pulses.get(parsed.guest) ?? this.#begin(parsed, atMs);
		if (!pulse.boots.includes(parsed.boot)) {
			pulse.boots.push(parsed.boot);
			pulse.seen.clear();
			pulse.firstSeq = parsed.seq;
			pulse.lastSeq = parsed.seq - 1;
		}
		pulse.longestGapMs = Math.max(pulse.longestGapMs, atMs - pulse.lastAtMs);
		pulse.lastAtMs = atMs;
		pulse.received++;
		if (pulse.seen.has(parsed.seq)) pulse.duplicates++;
		else if (parsed.seq > pulse.lastSeq) pulse.missed += parsed.seq - pulse.lastSeq - 1;
		else if (parsed.seq > pulse.firstSeq) pulse.missed--;
		pulse.seen.add(parsed.seq);
		pulse.lastSeq = Math.max(pulse.lastSeq, parsed.seq);
		pulse.diskErrors = parsed.disk.errors;
		pulse.diskRecords = parsed.disk.records;
		pulse.memoryErrors = parsed.memory.errors;
		for (const listener of [...this.#listeners]) listener(pulse);
	}

	#begin(first: z.infer<typeof Heartbeat>, atMs: number): Tracked {
		const pulse: Tracked = {
			guest: first.guest,
			boots: [first.boot],
			lastSeq: first.seq - 1,
			firstSeq: first.seq,
			received: 0,
			missed: 0,
			duplicates: 0,
			diskErrors: 0,
			memoryErrors: 0,
			diskRecords: 0,
			lastAtMs: atMs,
			longestGapMs: 0,
			seen: new Set(),
		};
		this.#pulses.set(first.guest, pulse);
		return pulse;
	}
}
