import type { HypervisorEvent } from "@sterna/hypervisor/hypervisor";
import type { Finding } from "@sterna/shared/health";
import type { VolumeId } from "@sterna/shared/ids";
import { printable } from "@sterna/shared/names";

type DiskError = Extract<HypervisorEvent, { type: "diskError" }>;

/** A volume without an error for so long is taken for well again; the console keeps the finding until it is released. */
export const diskErrorWindowMs = 60 * 60_000;
const maxFindings = 100;

/** Errors that volumes gave to guests, as findings: the disk or filesystem under them fails or is full. */
export class DiskErrors {
	readonly #findings = new Map<VolumeId, Finding>();

	/** True when this is news, and not one more of the same volume. */
	add({ guestId, volumeId, operation, text }: DiskError, at: number): boolean {
		const before = this.#findings.get(volumeId);
		const since = before && at - before.lastSeenAt <= diskErrorWindowMs ? before : null;
		// Anew at the end, so that the oldest is the first.
		this.#findings.delete(volumeId);
		this.#findings.set(volumeId, {
			key: `disk/volume-${volumeId}/guestErrors`,
			sensor: "disk",
			component: `volume ${volumeId}`,
			signal: "guestErrors",
			severity: "degraded",
			value: (since?.value ?? 0) + 1,
			threshold: 1,
			unit: "errors",
			windowMs: diskErrorWindowMs,
			rule: "a volume's file gave an error to its guest",
			firstSeenAt: since?.firstSeenAt ?? at,
			lastSeenAt: at,
			raw: `guest ${guestId}, ${operation}: ${printable(text)}`.slice(0, 4000),
			relevant: true,
		});
		const oldest = this.#findings.keys().next();
		if (this.#findings.size > maxFindings && !oldest.done) this.#findings.delete(oldest.value);
		return since === null;
	}

	findings(now: number): Finding[] {
		return [...this.#findings.values()].filter(({ lastSeenAt }) => now - lastSeenAt <= diskErrorWindowMs);
	}
}
