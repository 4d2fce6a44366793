import { z } from "zod";
import { Epoch, GuestId, HostId, MigrationId, TimestampMs } from "./ids.ts";
import { Name, ResourceName } from "./names.ts";
import { Nic } from "./network.ts";
import { GiB, MiB, TiB } from "./units.ts";
import { Volume, VolumeMove } from "./volume.ts";

/** Kernel command line: printable ASCII, no commas' special meaning here because it is one argument of its own. */
const KernelCommandLine = z
	.string()
	.max(2048)
	.regex(/^[\x20-\x7e]*$/, "has printable ASCII characters only");

/** What a guest boots: its first volume, or a kernel and initrd from the hosts' image folder. */
export const Boot = z.discriminatedUnion("from", [
	z.strictObject({ from: z.literal("disk") }),
	z.strictObject({
		from: z.literal("kernel"),
		kernel: ResourceName,
		initrd: ResourceName.optional(),
		commandLine: KernelCommandLine.default(""),
	}),
]);
export type Boot = z.infer<typeof Boot>;

export const VcpuCount = z.int().min(1, "a guest has at least 1 vCPU").max(256, "a guest has at most 256 vCPUs");
export const GuestMemoryBytes = z
	.int()
	.min(32 * MiB, "a guest has at least 32 MiB of memory")
	.max(4 * TiB, "a guest has at most 4 TiB of memory")
	.multipleOf(MiB, "a guest's memory is whole mebibytes");

/** What a guest should be. The console's database is its authority; the agent keeps a copy in the guest's folder. */
export const GuestSpec = z
	.strictObject({
		id: GuestId,
		name: Name,
		vcpus: VcpuCount,
		memoryBytes: GuestMemoryBytes,
		boot: Boot,
		volumes: z.array(Volume).max(16),
		nics: z.array(Nic).max(8),
		/** Kept across moves: the versioned machine type the guest first started with, for example `pc-q35-10.0`. */
		machine: z
			.string()
			.regex(/^pc-(q35|i440fx)-\d+\.\d+$/)
			.optional(),
	})
	.refine((spec) => spec.boot.from !== "disk" || spec.volumes.length > 0, {
		path: ["volumes"],
		message: "a guest that boots from disk needs a volume",
	})
	.refine((spec) => new Set(spec.nics.map((nic) => nic.mac)).size === spec.nics.length, {
		path: ["nics"],
		message: "two NICs have the same address",
	})
	.refine((spec) => new Set(spec.volumes.map((volume) => volume.id)).size === spec.volumes.length, {
		path: ["volumes"],
		message: "two volumes have the same id",
	});
export type GuestSpec = z.infer<typeof GuestSpec>;

/**
 * What a guest is now, as its agent sees it. `crashed`: the QEMU process ended without being told to.
 * `unknown` is the console's word for a guest whose host is out of reach; no agent reports it.
 */
export const GuestState = z.enum(["stopped", "starting", "running", "paused", "stopping", "crashed", "unknown"]);
export type GuestState = z.infer<typeof GuestState>;

/** What runs the guest's instructions. Software emulation (`tcg`) is slow and isolates nothing: screens say so. */
export const Accelerator = z.enum(["kvm", "tcg", "simulated"]);
export type Accelerator = z.infer<typeof Accelerator>;

/**
 * What a host's durable record says of a guest (see `migration/handover.ts`).
 * `owner`: only this host may run it. `incoming`: being filled by a migration, CPUs held.
 * `released`: handed over to the peer, never runs here again under this or a lower epoch.
 */
export const GrantRole = z.enum(["owner", "incoming", "released"]);
export type GrantRole = z.infer<typeof GrantRole>;

/** One guest on one host, as the agent reports it. A report with a lower `generation` is older and is dropped. */
export const GuestReport = z.strictObject({
	guestId: GuestId,
	name: Name,
	generation: z.int().min(0),
	role: GrantRole,
	epoch: Epoch,
	state: GuestState,
	accelerator: Accelerator.nullable(),
	/** Running since, by the host's clock; survives moves because it travels with the guest. */
	startedAt: TimestampMs.nullable(),
	migrationId: MigrationId.nullable(),
	peerHostId: HostId.nullable(),
	machine: z.string().nullable(),
	/** Why the guest is in this state when that is not plain: a crash, an in-doubt hand-over. */
	remark: z.string().max(1000).nullable(),
	/** Its disks by the host's own record; an agent of before does not say. While a change is under way `volume.list` knows better. */
	volumes: z.array(Volume).max(16).optional(),
	/** A disk that is on its way to another pool of its host, and how far it is; null while none is. */
	volumeMove: VolumeMove.nullable().optional(),
});
export type GuestReport = z.infer<typeof GuestReport>;

export const GuestMetrics = z.strictObject({
	guestId: GuestId,
	at: TimestampMs,
	/** Share of the guest's vCPUs in use, 0 to 1. */
	cpuUsed: z.number().min(0),
	/** Resident memory of the QEMU process. */
	memoryResidentBytes: z.int().min(0),
	diskReadBytesPerSecond: z.number().min(0),
	diskWriteBytesPerSecond: z.number().min(0),
	networkReceiveBytesPerSecond: z.number().min(0),
	networkTransmitBytesPerSecond: z.number().min(0),
});
export type GuestMetrics = z.infer<typeof GuestMetrics>;

/** What a person may ask of a guest. */
export const GuestAction = z.enum(["start", "shutDown", "powerOff", "pause", "resume", "migrate", "delete"]);
export type GuestAction = z.infer<typeof GuestAction>;

const allowedIn: Record<GuestAction, readonly GuestState[]> = {
	start: ["stopped", "crashed"],
	shutDown: ["running"],
	powerOff: ["running", "paused", "starting", "stopping"],
	pause: ["running"],
	resume: ["paused"],
	migrate: ["running"],
	delete: ["stopped", "crashed"],
};

/** Facts that decide whether an action is allowed; the same table answers the server and the disabled button. */
export interface GuestSituation {
	state: GuestState;
	migrating: boolean;
	hostOnline: boolean;
}

/** Why `action` is refused in this situation, as a sentence; null when it is allowed. */
export function refuseGuestAction(action: GuestAction, situation: GuestSituation): string | null {
	if (!situation.hostOnline) return "its host is out of reach";
	if (situation.migrating) return "it is being migrated; wait for the end or cancel the migration";
	if (!allowedIn[action].includes(situation.state)) {
		return `it is ${situation.state}; this needs a guest that is ${allowedIn[action].join(" or ")}`;
	}
	return null;
}

/** Memory that a guest takes on its host beyond its own: QEMU, page tables, devices (200 MiB + 1 %). */
export function guestOverheadBytes(memoryBytes: number): number {
	return 200 * MiB + Math.ceil(memoryBytes / 100);
}

/** Memory that a host keeps for itself: the larger of 2 GiB and 5 %, at most a quarter of a small host. */
export function hostReserveBytes(memoryBytes: number): number {
	return Math.min(Math.max(2 * GiB, Math.ceil(memoryBytes / 20)), Math.floor(memoryBytes / 4));
}
