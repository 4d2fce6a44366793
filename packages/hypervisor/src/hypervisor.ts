import type { CopyDisks, CopyMemory, DiskProgress } from "@sterna/shared/copying";
import type { Accelerator, GuestSpec } from "@sterna/shared/guest";
import type { AcceleratorProbe } from "@sterna/shared/host";
import type { GuestId, VolumeId } from "@sterna/shared/ids";
import type { VolumeSeat } from "@sterna/shared/volume";

export type { CopyDisks, CopyMemory, DiskProgress, MemoryProgress, Steering } from "@sterna/shared/copying";

/**
 * How to run guests on this server. Two drivers keep this contract: `qemu/` for real guests, `simulated/` for scale and
 * fault tests; `contract.ts` is the suite that both pass. The driver knows processes and files, not ownership: who may
 * run a guest is decided above it, by the agent's durable grants.
 *
 * Guests outlive the driver: a new instance over the same folders finds them again with `adopt`. Every promise ends
 * within its deadline; when QEMU's monitor is silent the driver goes out of band (`yank`) before it gives up.
 *
 * As root, each guest runs as a user of its own that follows from its id: the folders above volumes, boot images and the
 * run folder must let others pass (mode o+x), or `start` and `accept` are `forbidden` with the folder's name. Volumes and
 * the sockets named in `copyDisks` and `copyMemory` are given to that user by the driver.
 *
 * Errors are `SternaError`s: `wrong_state`, `not_found`, `conflict`, `incompatible`, `unavailable`, `timeout`, `internal`.
 */
export interface Hypervisor {
	/** What this machine can do. Really boots a payload under a deadline; the result is kept for the life of the driver. */
	probe(): Promise<HypervisorFacts>;
	/**
	 * Finds the guests that still run from an earlier life of the driver and connects to them again. Those that ended in
	 * between are reported once, as `absent` with their ending. One whose QEMU does not answer counts as running, or `loading` before its release.
	 */
	adopt(): Promise<ProcessReport[]>;
	/** The guest's process as it is now; `absent` when there is none. */
	inspect(guestId: GuestId): Promise<ProcessReport>;
	/** Everything that changes by itself; the listener must not throw. Returns the way to stop listening. */
	onEvent(listener: (event: HypervisorEvent) => void): () => void;

	/** Starts a guest from its volumes. Fulfilled when its CPUs run. A process that is already there is a `conflict`. */
	start(request: StartRequest): Promise<ProcessReport>;
	/** Presses the power button (ACPI). The guest ends when it likes; `onEvent` tells. */
	shutDown(guestId: GuestId): Promise<void>;
	/** Ends the process and waits until it is gone. No process: no change. */
	powerOff(guestId: GuestId): Promise<void>;
	/** Holds the CPUs. While memory is being moved, `wrong_state`: the CPUs are the move's. */
	pause(guestId: GuestId): Promise<void>;
	/** Lets a paused guest go on. What a move holds (`loaded`, `handedOver`, its pause) is not resumed by it: `wrong_state`. */
	resume(guestId: GuestId): Promise<void>;
	stats(guestId: GuestId): Promise<GuestStats>;
	/** Serial output is a file that only grows (until a size limit truncates it): read it from any offset. */
	serialLogPath(guestId: GuestId): string;
	serialWrite(guestId: GuestId, data: Uint8Array): Promise<void>;

	/** Removes the log and whatever else a guest's processes left, when the guest is deleted. While one is there: `conflict`. */
	forget(guestId: GuestId): Promise<void>;

	/** Makes a volume, from an image when named. The same volume again: no change; another size: `conflict`. */
	createVolume(request: CreateVolume): Promise<void>;
	deleteVolume(location: VolumeLocation): Promise<void>;
	inspectVolume(location: VolumeLocation): Promise<VolumeReport>;
	/**
	 * Whether anything was ever written into a volume, by a guest, a fill or a copy: read from its own tables, also of one that
	 * is not completely here. Throws when it cannot be known: it is not there (`not_found`), or a process has it.
	 */
	holdsData(location: VolumeLocation): Promise<boolean>;

	/**
	 * Target: starts the guest's process with its CPUs held, waiting for memory on `memorySocket` and for the content of
	 * its copied volumes on `diskSocket` (NBD, one export per volume, named by volume id). Both are unix sockets.
	 */
	accept(request: AcceptRequest): Promise<AcceptedGuest>;
	/** Target: true when memory is complete and the CPUs are held, false while it is arriving. Failed: throws. */
	isLoaded(guestId: GuestId): Promise<boolean>;
	/** Target: closes the disk exports and lets the CPUs go. Only the agent that owns the guest durably may call it. Running already: no change. */
	release(guestId: GuestId): Promise<{ resumedAt: number }>;

	/** Source: begins copying disks to the target's NBD exports; reports until all are in sync. */
	copyDisks(request: CopyDisks, signal: AbortSignal): Promise<void>;
	/** Source: copies memory while the guest runs, until it is paused with its last pages ready to go. */
	copyMemory(request: CopyMemory, signal: AbortSignal): Promise<{ pausedAt: number }>;
	/** Source: the guest is paused: drains the disk copies, sends the rest. Fulfilled when the source's part is complete. */
	switchOver(guestId: GuestId, signal: AbortSignal): Promise<void>;
	/**
	 * Source, before the commit point only: stops whatever copying there is and leaves the guest running here as if
	 * nothing had been. Fulfilled when that is seen. Nothing under way: makes sure that the guest runs.
	 */
	cancelMigration(guestId: GuestId): Promise<void>;

	/** Makes a volume larger, also under a running guest, which sees the new size at once. Same size: no change; smaller: `invalid`. */
	growVolume(request: GrowVolume): Promise<void>;
	/** Gives a running guest one more disk, on a spare port. No process: no change, the next start brings it. Attached already: no change. */
	attachVolume(guestId: GuestId, location: VolumeLocation): Promise<void>;
	/**
	 * Copies a volume to another place and goes on there, also under a running guest; what was tracked of its changes is
	 * tracked on. On failure the guest runs on the old one and nothing of the new one is left; on success the old one is gone.
	 */
	moveVolume(request: MoveVolume, signal: AbortSignal): Promise<void>;

	/** Whether the guest agent answers within `timeoutMs`. */
	isGuestAgentAlive(guestId: GuestId, timeoutMs: number): Promise<boolean>;
	/** The guest's screen as a PNG. */
	screenshot(guestId: GuestId): Promise<Uint8Array>;

	/**
	 * What is tracked of the volumes' changes: asked of the running guest, or of the files of one without a process. A
	 * bitmap that cannot be trusted (its process was killed) is told as `inconsistent`.
	 */
	changeTracking(guestId: GuestId, volumes: readonly VolumeLocation[]): Promise<VolumeTracking[]>;
	/**
	 * Opens one instant of all named volumes for reading, of a running, paused or stopped guest. A new bitmap `mark` begins
	 * just before the instant, the bitmap `since` ends just after it, and from the instant on old blocks are copied to the
	 * scratch files before the guest overwrites them, so a slow reader never slows the guest; when the scratch fails or is
	 * full the snapshot breaks (reads fail, `isSnapshotWhole` is false) and the guest runs on. File systems are frozen by the
	 * guest agent for the instant only; whatever happens they are thawed before this is fulfilled or rejected.
	 * On failure everything is as it was, also what is tracked. One at a time per guest: `conflict`.
	 */
	takeSnapshot(request: TakeSnapshot): Promise<SnapshotReport>;
	/** False when a block of the instant was lost: what was read from it must not be kept. */
	isSnapshotWhole(guestId: GuestId): Promise<boolean>;
	/**
	 * Ends the snapshot, also one of an earlier life of the driver, also of a guest that has stopped since. `committed`: the
	 * recovery point is kept, changes count from `mark`, older bitmaps of the same chain (`since` and `stale`) are removed, and
	 * no others: those of other chains record on. `failed`: changes count from `since` as if the snapshot had never been.
	 * Nothing open: makes sure of the bitmaps all the same.
	 */
	endSnapshot(request: EndSnapshot): Promise<void>;

	/**
	 * Starts a guest whose volumes are not here yet: what is missing is read from a unix socket that serves NBD, what the
	 * guest writes stays in the volume. An error of the socket or its end pauses the guest (`heldByStorage`) and harms
	 * nothing; `resume` tries again. Until `fillVolumes` has completed, the guest must always be started with its sources.
	 */
	startFrom(request: StartRequest, sources: readonly VolumeSource[]): Promise<ProcessReport>;
	/** Copies what is still missing while the guest runs, then lets go of the sources. Pauses with the source, goes on with `resume`. */
	fillVolumes(guestId: GuestId, onProgress: (progress: DiskProgress) => void, signal: AbortSignal): Promise<void>;

	/** Lets go of sockets and timers; guests run on. */
	close(): Promise<void>;
}

export interface GrowVolume extends VolumeLocation {
	guestId: GuestId;
	sizeBytes: number;
}

export interface MoveVolume {
	guestId: GuestId;
	volumeId: VolumeId;
	from: string;
	to: string;
	onProgress(progress: DiskProgress): void;
}

/** One bitmap of a volume: the 64 KiB blocks that were written since it began. */
export interface ChangeBitmap {
	name: string;
	granularityBytes: number;
	/** False: it ended at an instant. */
	recording: boolean;
	inconsistent: boolean;
	dirtyBytes: number;
}

export interface VolumeTracking {
	volumeId: VolumeId;
	sizeBytes: number;
	allocatedBytes: number;
	bitmaps: ChangeBitmap[];
}

export interface TakeSnapshot {
	guestId: GuestId;
	/** Name of the bitmaps that begin at this instant: at most 31 characters of `[a-z0-9-]`. */
	mark: string;
	volumes: (VolumeLocation & {
		/** Bitmap whose blocks are wanted, and which ends; null when everything is. */
		since: string | null;
		/** Made by this call, in a folder that is there; removed by `endSnapshot`. */
		scratchPath: string;
	})[];
	freeze: boolean;
}

export interface SnapshotReport {
	takenAt: number;
	consistency: "application" | "crash" | "stopped";
	/** Why the file systems were not frozen although that was asked for. */
	remark: string | null;
	frozenMs: number | null;
	/** Unix socket of an NBD server with one read-only export per volume, named by volume id. */
	socket: string;
	volumes: {
		volumeId: VolumeId;
		sizeBytes: number;
		/** NBD metadata context of what changed since `since`; null when everything is to be read. `base:allocation` is always there. */
		changes: string | null;
	}[];
}

export interface EndSnapshot {
	guestId: GuestId;
	mark: string;
	volumes: (VolumeLocation & {
		since: string | null;
		/**
		 * Bitmaps of points of this chain that are gone: nothing will ever be read by them, and each costs memory and a
		 * little of every write. Removed when `committed`; names that are not there are no error, and `mark` always stays.
		 */
		stale?: readonly string[];
		scratchPath: string;
	})[];
	outcome: "committed" | "failed";
}

export interface VolumeSource {
	volumeId: VolumeId;
	/**
	 * Unix socket and export name of an NBD server that has the whole content and answers what it cannot read with an
	 * error, soon: a silent one keeps the guest waiting. It must not offer `base:allocation` (docs/decisions/0013).
	 */
	socket: string;
	exportName: string;
}

export interface HypervisorFacts {
	qemuVersion: string;
	/** Versioned machine types, newest first. */
	machineTypes: string[];
	probe: AcceleratorProbe;
	simulated: boolean;
}

/** `loading`: an incoming guest, CPUs held, memory not complete. `loaded`: complete and held. `handedOver`: source after the last byte left. */
export type ProcessState = "absent" | "running" | "paused" | "loading" | "loaded" | "handedOver";

export interface ProcessReport {
	guestId: GuestId;
	state: ProcessState;
	pid: number | null;
	accelerator: Accelerator | null;
	machine: string | null;
	/** How the process ended, when `absent` and known: `killed by signal 9`, `the guest powered off`. */
	ending: string | null;
	/** Paused because the source of a volume does not answer; `resume` tries again. */
	heldByStorage: boolean;
	/** Volumes that sit elsewhere than their place in the spec says, for `accept` on another host. */
	seats: VolumeSeat[];
}

export type HypervisorEvent =
	| { type: "stateChanged"; report: ProcessReport }
	/** The guest powered off by itself or by its power button. */
	| { type: "poweredOff"; guestId: GuestId }
	/** The process ended without being told to. */
	| { type: "crashed"; guestId: GuestId; ending: string }
	| { type: "rebooted"; guestId: GuestId }
	/** A volume's file gave an error to the guest: the host's disk is failing or full. */
	| { type: "diskError"; guestId: GuestId; volumeId: VolumeId; operation: "read" | "write"; text: string }
	/** The source of a volume that is not here yet gave an error: the guest stands paused until `resume`. */
	| { type: "heldByStorage"; guestId: GuestId; volumeId: VolumeId };

/** Where a volume's file is. The agent resolves pools and images to absolute paths; nothing from a socket becomes one. */
export interface VolumeLocation {
	volumeId: VolumeId;
	path: string;
}

export interface CreateVolume extends VolumeLocation {
	sizeBytes: number;
	/** Absolute path and format of an image to copy from, which is never guessed; or a unix socket that serves NBD and ends the copy by closing. */
	from?: { path: string; format: "qcow2" | "raw" } | { socket: string; exportName: string };
}

export interface VolumeReport {
	exists: boolean;
	sizeBytes: number;
	allocatedBytes: number;
}

export interface StartRequest {
	spec: GuestSpec;
	/** In the spec's order. */
	volumes: VolumeLocation[];
	/** Absolute paths of the boot images when the guest boots a kernel. */
	kernelPath?: string;
	initrdPath?: string;
	/** How each NIC is connected, in the spec's order: a tap that this driver makes on `bridge`, or QEMU's own NAT. */
	nics: ({ kind: "bridge"; bridge: string } | { kind: "user" })[];
}

export interface AcceptRequest extends StartRequest {
	/** The machine type of the source's process; required here. */
	machine: string;
	/** Volumes whose content will be copied; the others are shared. */
	copiedVolumes: VolumeId[];
	/** As the source's process reports them. */
	seats: readonly VolumeSeat[];
}

export interface AcceptedGuest {
	memorySocket: string;
	/** Null when no volume is copied. */
	diskSocket: string | null;
}

export interface GuestStats {
	/** CPU time that the process has used since it started. */
	cpuTimeMs: number;
	memoryResidentBytes: number;
	diskReadBytes: number;
	diskWriteBytes: number;
	/** Writes that the guest's disks have done, and the time that the guest waited for them, added up. */
	diskWrites: number;
	diskWriteTimeMs: number;
	/** From the guest's view: what it received and sent on bridges. QEMU's own NAT counts nothing. */
	networkReceiveBytes: number;
	networkTransmitBytes: number;
}
