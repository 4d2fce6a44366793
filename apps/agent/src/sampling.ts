import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Hypervisor } from "@sterna/hypervisor/hypervisor";
import type { GuestMetrics } from "@sterna/shared/guest";
import type { HostMetrics } from "@sterna/shared/host";
import { GuestId } from "@sterna/shared/ids";
import type { Logger } from "pino";
import type { Clock } from "./context.ts";
import type { KnownGuest } from "./guests/store.ts";
import { type GuestSample, guestMetrics } from "./metrics/guest-metrics.ts";
import { type HostCounters, hostMetrics, readHostCounters } from "./metrics/host-metrics.ts";
import { openGuestRing, openHostRing, type Ring } from "./metrics/ring.ts";
import type { SensorRoot } from "./sensors/root.ts";

/** Six hours at one sample in five seconds; below what one answer of the protocol may carry. */
const samplesKept = 4320;

export interface SamplerOptions {
	dataDir: string;
	root: SensorRoot;
	hypervisor: Hypervisor;
	clock: Clock;
	log: Logger;
	periodMs: number;
	/** What guests may use together, when that is less than the server has. */
	memoryLimitBytes: number | undefined;
	/** The guests whose process runs here. */
	running: () => KnownGuest[];
	/** All guests of this host; what was measured of others is thrown away. */
	present: () => ReadonlySet<GuestId>;
	onSample: (host: HostMetrics, guests: GuestMetrics[]) => void;
}

/** Measures the host and its guests, keeps the last hours in ring files, and tells each sample. */
export class Sampler {
	readonly #options: SamplerOptions;
	readonly #folder: string;
	readonly #hostRing: Ring<HostMetrics>;
	readonly #guestRings = new Map<GuestId, Ring<GuestMetrics>>();
	readonly #guestSamples = new Map<GuestId, GuestSample>();
	#before: HostCounters | null = null;

	private constructor(options: SamplerOptions, folder: string, hostRing: Ring<HostMetrics>) {
		this.#options = options;
		this.#folder = folder;
		this.#hostRing = hostRing;
	}

	static async open(options: SamplerOptions): Promise<Sampler> {
		const folder = join(options.dataDir, "metrics");
		await mkdir(folder, { recursive: true, mode: 0o700 });
		const ring = { path: join(folder, "host.ring"), periodMs: options.periodMs, capacity: samplesKept };
		return new Sampler(options, folder, await openHostRing(ring));
	}

	/** Takes one sample. The first of a thing only begins its counting. */
	async sample(): Promise<void> {
		const { clock, root, memoryLimitBytes, running, onSample } = this.#options;
		const guests: GuestMetrics[] = [];
		let guestBytes = 0;
		for (const guest of running()) {
			const metrics = await this.#sampleGuest(guest);
			guestBytes += this.#guestSamples.get(guest.guestId)?.stats.memoryResidentBytes ?? 0;
			if (metrics) guests.push(metrics);
		}
		const now = await readHostCounters(root, { at: clock.now(), uplinks: [] });
		const share =
			memoryLimitBytes === undefined
				? undefined
				: { limitBytes: memoryLimitBytes, usedBytes: Math.round(guestBytes) + process.memoryUsage.rss() };
		const host = this.#before && hostMetrics(this.#before, now, share);
		this.#before = now;
		await this.#forgetAbsent();
		if (!host) return;
		await this.#hostRing.append(host);
		onSample(host, guests);
	}

	hostSince(since: number): Promise<HostMetrics[]> {
		return this.#hostRing.since(since);
	}

	async guestSince(guestId: GuestId, since: number): Promise<GuestMetrics[]> {
		return this.#options.present().has(guestId) ? (await this.#ringOf(guestId)).since(since) : [];
	}

	async close(): Promise<void> {
		await this.#hostRing.close();
		for (const ring of this.#guestRings.values()) await ring.close();
		this.#guestRings.clear();
	}

	/** A guest that does not answer now has no sample: the gap is what is known of it. */
	async #sampleGuest({ guestId, spec }: KnownGuest): Promise<GuestMetrics | null> {
		const { hypervisor, clock, log } = this.#options;
		try {
			const now = { at: clock.now(), stats: await hypervisor.stats(guestId) };
			const before = this.#guestSamples.get(guestId);
			this.#guestSamples.set(guestId, now);
			const metrics = before ? guestMetrics({ guestId, vcpus: spec.vcpus }, before, now) : null;
			if (metrics) await (await this.#ringOf(guestId)).append(metrics);
			return metrics;
		} catch (err) {
			log.debug({ guestId, err }, "guest not measured");
			this.#guestSamples.delete(guestId);
			return null;
		}
	}

	async #ringOf(guestId: GuestId): Promise<Ring<GuestMetrics>> {
		const open = this.#guestRings.get(guestId);
		if (open) return open;
		const path = join(this.#folder, `${guestId}.ring`);
		const ring = await openGuestRing(guestId, { path, periodMs: this.#options.periodMs, capacity: samplesKept });
		const raced = this.#guestRings.get(guestId);
		if (raced) {
			await ring.close();
			return raced;
		}
		this.#guestRings.set(guestId, ring);
		return ring;
	}

	async #forgetAbsent(): Promise<void> {
		const present = this.#options.present();
		for (const guestId of [...this.#guestRings.keys()].filter((id) => !present.has(id))) {
			await this.#guestRings.get(guestId)?.close();
			this.#guestRings.delete(guestId);
			this.#guestSamples.delete(guestId);
		}
		for (const name of await readdir(this.#folder)) {
			const guestId = GuestId.safeParse(name.replace(/\.ring$/, ""));
			if (guestId.success && !present.has(guestId.data)) await rm(join(this.#folder, name), { force: true });
		}
	}
}
