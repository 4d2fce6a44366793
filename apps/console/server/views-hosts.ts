import { Accelerator } from "@sterna/shared/guest";
import { Finding, HealthState } from "@sterna/shared/health";
import { AcceleratorProbe, HostConnection, HostMetrics, HostMode, Image } from "@sterna/shared/host";
import { EvacuationId, HostId, TimestampMs } from "@sterna/shared/ids";
import { Refusal } from "@sterna/shared/migration";
import { HostNetwork } from "@sterna/shared/network";
import { StoragePool } from "@sterna/shared/volume";
import { z } from "zod";
import { GuestRef, HostRef } from "./views.ts";

/** What pages about hosts get, with what is wrong with a host, and how it would be emptied. */

/** How long it would take to empty a host, or what stands in the way. */
export const EmptyIn = z.discriminatedUnion("kind", [
	z.object({ kind: z.literal("empty") }),
	z.object({ kind: z.literal("estimate"), durationMs: z.number() }),
	z.object({ kind: z.literal("evacuating"), evacuationId: EvacuationId, remainingMs: z.number().nullable() }),
	z.object({ kind: z.literal("blocked"), reason: z.string(), guest: GuestRef.nullable() }),
	z.object({ kind: z.literal("unknown"), reason: z.string() }),
]);
export type EmptyIn = z.infer<typeof EmptyIn>;

export const HostRow = z.object({
	id: HostId,
	name: z.string(),
	connection: HostConnection,
	/** Set when the console closed its door to the host: two servers used one identity. */
	quarantinedBecause: z.string().nullable(),
	mode: HostMode,
	health: HealthState,
	/** The worst finding as one sentence; null when healthy. */
	healthSentence: z.string().nullable(),
	cpuUsed: z.number().nullable(),
	cpuThreads: z.int().nullable(),
	/** What is in use now, and what guests have been promised. */
	memoryTotalBytes: z.number().nullable(),
	memoryUsedBytes: z.number().nullable(),
	memoryGrantedBytes: z.number(),
	memoryReserveBytes: z.number(),
	guestsRunning: z.int(),
	guestsTotal: z.int(),
	emptyIn: EmptyIn,
	accelerator: Accelerator.nullable(),
	simulated: z.boolean(),
	address: z.string().nullable(),
	agentVersion: z.string().nullable(),
	qemuVersion: z.string().nullable(),
	lastHeardAt: TimestampMs.nullable(),
});
export type HostRow = z.infer<typeof HostRow>;

/** One finding, open or cleared, with what was done about it. */
export const FindingView = Finding.extend({
	id: z.string(),
	host: HostRef,
	state: z.enum(["open", "cleared", "released"]),
	clearedAt: TimestampMs.nullable(),
	releasedAt: TimestampMs.nullable(),
	releasedBy: z.string().nullable(),
	/** What the health policy did: `no new guests`, `evacuated`, `alert only: …`. */
	action: z.string().nullable(),
});
export type FindingView = z.infer<typeof FindingView>;

export const HostView = HostRow.extend({
	joinedAt: TimestampMs,
	certificateExpiresAt: TimestampMs.nullable(),
	operatingSystem: z.string().nullable(),
	kernel: z.string().nullable(),
	cpuModel: z.string().nullable(),
	probe: AcceleratorProbe.nullable(),
	pools: z.array(StoragePool),
	networks: z.array(HostNetwork),
	images: z.array(Image),
	findings: z.array(FindingView),
	evacuationId: EvacuationId.nullable(),
});
export type HostView = z.infer<typeof HostView>;

/** One line of charts for hosts; nulls where the kernel has no such reading. */
export const HostMetricsView = z.object({ samples: z.array(HostMetrics) });

export const JoinTokenView = z.object({
	/** The line to paste where the agent is installed: `sterna-agent join sterna1:…`. */
	joinLine: z.string(),
	/** The line to paste on a bare server: fetches the agent from this console (key pinned), installs it and joins. */
	installLine: z.string(),
	expiresAt: TimestampMs,
});
export type JoinTokenView = z.infer<typeof JoinTokenView>;

/** What maintenance would do: who leaves in which order to where, and who cannot. */
export const MaintenancePlan = z.object({
	host: HostRef,
	moves: z.array(z.object({ guest: GuestRef, target: HostRef, predictedDurationMs: z.number() })),
	blocked: z.array(z.object({ guest: GuestRef, refusal: Refusal })),
	/** Guests that are not running stay on the host. */
	staying: z.array(GuestRef),
	predictedDurationMs: z.number(),
	undo: z.string(),
});
export type MaintenancePlan = z.infer<typeof MaintenancePlan>;
