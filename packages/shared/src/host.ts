import { z } from "zod";
import { Accelerator } from "./guest.ts";
import { HostId, TimestampMs } from "./ids.ts";
import { Name, ResourceName } from "./names.ts";
import { HostNetwork } from "./network.ts";
import { StoragePool } from "./volume.ts";

/** What an agent found when it tried the machine's ways to run a guest. */
export const AcceleratorProbe = z.strictObject({
	accelerator: Accelerator,
	/** Why it is this one, as a sentence: `/dev/kvm is there, but a boot payload did not answer in 2 s of processor time`. */
	reason: z.string().max(1000),
});
export type AcceleratorProbe = z.infer<typeof AcceleratorProbe>;

/** A kernel, initrd or disk image in a host's image folder. */
export const Image = z.strictObject({
	name: ResourceName,
	sizeBytes: z.int().min(0),
	sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Image = z.infer<typeof Image>;

/** What a host is: changes rarely. */
export const HostFacts = z.strictObject({
	hostId: HostId,
	name: Name,
	agentVersion: z.string().max(64),
	/** Changes with every boot of the server (`/proc/sys/kernel/random/boot_id`). */
	bootId: z.string().max(64),
	/** Where peers reach this agent. */
	peerAddress: z.string().max(255),
	peerPort: z.int().min(1).max(65535),
	operatingSystem: z.string().max(200),
	kernel: z.string().max(200),
	cpuModel: z.string().max(200),
	cpuThreads: z.int().min(1),
	memoryBytes: z.int().min(0),
	qemuVersion: z.string().regex(/^\d+\.\d+\.\d+$/),
	machineTypes: z.array(z.string()).max(500),
	probe: AcceleratorProbe,
	pools: z.array(StoragePool).max(64),
	networks: z.array(HostNetwork).max(64),
	images: z.array(Image).max(1000),
	/** Folders for backups that this host's configuration names. */
	repositoryFolders: z
		.array(z.strictObject({ name: ResourceName, capacityBytes: z.int().min(0), freeBytes: z.int().min(0) }))
		.max(64),
	/** True for the driver without QEMU; screens always say so. */
	simulated: z.boolean(),
});
export type HostFacts = z.infer<typeof HostFacts>;

/** Pressure stall information (kernel Documentation/accounting/psi.rst): share of time stalled, 0 to 1; null where absent. */
const Pressure = z.number().min(0).max(1).nullable();

export const HostMetrics = z.strictObject({
	at: TimestampMs,
	cpuUsed: z.number().min(0).max(1),
	loadAverage1: z.number().min(0),
	memoryUsedBytes: z.int().min(0),
	memoryAvailableBytes: z.int().min(0),
	diskReadBytesPerSecond: z.number().min(0),
	diskWriteBytesPerSecond: z.number().min(0),
	networkReceiveBytesPerSecond: z.number().min(0),
	networkTransmitBytesPerSecond: z.number().min(0),
	cpuPressure: Pressure,
	memoryPressure: Pressure,
	ioPressure: Pressure,
});
export type HostMetrics = z.infer<typeof HostMetrics>;

/** Whether the console hears the agent. */
export const HostConnection = z.enum(["online", "offline", "revoked"]);
export type HostConnection = z.infer<typeof HostConnection>;

/** What an admin or the health policy asks of a host. `evacuating` ends in `maintenance`. */
export const HostMode = z.enum(["normal", "evacuating", "maintenance"]);
export type HostMode = z.infer<typeof HostMode>;
