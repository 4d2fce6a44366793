import { z } from "zod";
import {
	BackupOptions,
	BackupPlan,
	BackupReport,
	DrillCheck,
	GuestFile,
	RecoveryPoint,
	RepositoryAccess,
	RepositoryKey,
	RepositoryPlace,
	RepositoryUsage,
	RestoreMode,
	RestoreReport,
	UpkeepKind,
	UpkeepReport,
} from "../backup.ts";
import { GuestMetrics, GuestReport, GuestSpec } from "../guest.ts";
import { HostFacts, HostMetrics } from "../host.ts";
import {
	Epoch,
	GuestId,
	HostId,
	MigrationId,
	PointId,
	RepositoryId,
	RestoreId,
	TimestampMs,
	UpkeepId,
	VolumeId,
} from "../ids.ts";
import { MigrationOptions, MigrationPlan, MigrationReport, Refusal } from "../migration.ts";
import { ResourceName } from "../names.ts";
import { Volume, VolumeSeat, VolumeSizeBytes } from "../volume.ts";
import { SignedPermit } from "./permit.ts";
import { Snapshot, TrackedReport } from "./report.ts";

/** Who may call a command: the console, a peer agent, or the command line on the same server. */
export type Audience = "console" | "peer" | "local";

interface Command {
	audience: readonly Audience[];
	input: z.ZodType;
	output: z.ZodType;
	/** A stream sends any number of `output` items until either side ends it. */
	stream?: true;
}

const nothing = z.strictObject({});
const oneGuest = z.strictObject({ guestId: GuestId, epoch: Epoch });

/** Where a peer agent listens. */
export const PeerAddress = z.strictObject({
	hostId: HostId,
	name: z.string().max(63),
	address: z.string().max(255),
	port: z.int().min(1).max(65535),
});
export type PeerAddress = z.infer<typeof PeerAddress>;

/** What the source tells of a guest that wants to come; everything a refusal depends on. */
export const IncomingGuest = z.strictObject({
	spec: GuestSpec,
	machine: z.string().max(64),
	qemuVersion: z.string().max(32),
	accelerator: z.enum(["kvm", "tcg", "simulated"]),
	/** Pools of the guest's volumes as the source knows them, to tell shared from local. */
	volumes: z.array(z.strictObject({ volumeId: VolumeId, poolId: z.uuid(), allocatedBytes: z.int().min(0) })).max(16),
	/** Volumes that do not sit where their place in the spec puts them. */
	seats: z.array(VolumeSeat).max(16).default([]),
	/** sha256 of the kernel and initrd the guest needs, by image name. */
	images: z.record(z.string().max(63), z.string().max(64)),
});
export type IncomingGuest = z.infer<typeof IncomingGuest>;

/** How far the target is with a guest that it receives. `loaded`: memory complete, CPUs held. */
export const IncomingState = z.enum(["absent", "preparing", "ready", "loaded", "running", "discarded"]);
export type IncomingState = z.infer<typeof IncomingState>;

export const AgentStatus = z.strictObject({
	pid: z.int().min(1),
	agentVersion: z.string().max(64),
	startedAt: TimestampMs,
	console: z.strictObject({
		address: z.string().max(255),
		port: z.int().min(1).max(65535),
		connected: z.boolean(),
		/** Since when it is connected or not. */
		since: TimestampMs,
		/** Why the last connection ended or failed. */
		problem: z.string().max(1000).nullable(),
	}),
	damagedGuests: z.array(z.strictObject({ guestId: z.string().max(64), reason: z.string().max(1000) })).max(2000),
});
export type AgentStatus = z.infer<typeof AgentStatus>;

/**
 * Everything an agent can be asked. A closed set of typed operations: no shell, no raw QMP, no paths.
 * Console and agent both parse with these schemas; a handler that is missing does not compile.
 */
export const commands = {
	"host.describe": { audience: ["console", "peer", "local"], input: nothing, output: HostFacts },
	/** The whole state at once, for the local command line. */
	"host.snapshot": { audience: ["console", "local"], input: nothing, output: Snapshot },
	/** Snapshot, then changes. With `after`, resumes behind that id when the agent still has it. */
	"host.report": {
		audience: ["console", "local"],
		input: z.strictObject({ after: z.strictObject({ run: z.uuid(), id: z.int().min(0) }).optional() }),
		output: TrackedReport,
		stream: true,
	},
	"host.metrics": {
		audience: ["console", "local"],
		input: z.strictObject({ since: TimestampMs }),
		output: z.strictObject({ samples: z.array(HostMetrics).max(5000) }),
	},
	/** The whole list of hosts whose certificates no longer count. Kept durably; their connections are dropped at once. */
	"host.setRevocations": {
		audience: ["console"],
		input: z.strictObject({ hostIds: z.array(HostId).max(10_000) }),
		output: nothing,
	},
	/** How the agent itself is: its line to the console, and guest folders that it could not read. */
	"agent.status": { audience: ["local"], input: nothing, output: AgentStatus },

	/** Makes the guest's folder and volumes. Epoch 1 of a new guest. Same spec again: no change. */
	"guest.create": {
		audience: ["console"],
		input: z.strictObject({ spec: GuestSpec, epoch: Epoch }),
		output: GuestReport,
	},
	"guest.start": { audience: ["console"], input: oneGuest, output: GuestReport },
	/** Presses the guest's power button (ACPI); answers at once, the guest ends when it likes. */
	"guest.shutDown": { audience: ["console"], input: oneGuest, output: GuestReport },
	"guest.powerOff": { audience: ["console"], input: oneGuest, output: GuestReport },
	"guest.pause": { audience: ["console"], input: oneGuest, output: GuestReport },
	"guest.resume": { audience: ["console"], input: oneGuest, output: GuestReport },
	/** Deletes a stopped guest's folder and volumes. */
	"guest.delete": { audience: ["console"], input: oneGuest, output: nothing },
	"guest.metrics": {
		audience: ["console", "local"],
		input: z.strictObject({ guestId: GuestId, since: TimestampMs }),
		output: z.strictObject({ samples: z.array(GuestMetrics).max(5000) }),
	},
	/** The guest's serial output from byte `fromOffset` of its log on this host; ends when the guest has left or stopped and all is sent. */
	"guest.serialOutput": {
		audience: ["console", "local"],
		input: z.strictObject({ guestId: GuestId, fromOffset: z.int().min(0) }),
		output: z.strictObject({ offset: z.int().min(0), data: z.base64().max(200_000) }),
		stream: true,
	},
	"guest.serialInput": {
		audience: ["console", "local"],
		input: z.strictObject({ guestId: GuestId, data: z.base64().max(16_384) }),
		output: nothing,
	},

	/** What moving the guest would take, or what refuses it. Asked of the source, which asks the target. */
	"migration.plan": {
		audience: ["console"],
		input: z.strictObject({ guestId: GuestId, target: PeerAddress }),
		output: MigrationPlan,
	},
	/** Begins a move and answers when the journal has it; the rest comes as `migration.changed`. The same permit again: no change. */
	"migration.start": {
		audience: ["console"],
		input: z.strictObject({ permit: SignedPermit, target: PeerAddress, options: MigrationOptions }),
		output: MigrationReport,
	},
	/** Unwinds a move that has not reached its commit point. */
	"migration.cancel": {
		audience: ["console"],
		input: z.strictObject({ migrationId: MigrationId }),
		output: MigrationReport,
	},

	/** Target side of `migration.plan`. */
	"incoming.check": {
		audience: ["peer"],
		input: z.strictObject({ guest: IncomingGuest }),
		output: z.strictObject({ refusals: z.array(Refusal).max(50) }),
	},
	/** Makes volumes, starts QEMU with its CPUs held, opens the ticketed streams. */
	"incoming.prepare": {
		audience: ["peer"],
		input: z.strictObject({ permit: SignedPermit, guest: IncomingGuest, startedAt: TimestampMs.nullable() }),
		output: z.strictObject({
			/** Port of the streams, open for this transfer only. */
			streamPort: z.int().min(1).max(65535),
			/** One-time secrets, 32 bytes each: one for the memory stream, one per volume that must be copied. */
			memoryTicket: z.base64url().max(64),
			diskTickets: z.record(z.string(), z.base64url().max(64)),
		}),
	},
	/** Says that the source is alive, so that the target keeps what it has; answers how far it is. */
	"incoming.renew": {
		audience: ["peer"],
		input: z.strictObject({ migrationId: MigrationId, guestId: GuestId }),
		output: z.strictObject({ state: IncomingState, epoch: Epoch.nullable() }),
	},
	/** The hand-over: the source has durably released the guest. Repeated until answered; the answer is durable too. */
	"incoming.run": {
		audience: ["peer"],
		input: z.strictObject({ migrationId: MigrationId, guestId: GuestId, epoch: Epoch }),
		output: z.strictObject({
			state: z.literal("running"),
			/** True when memory was lost and the guest was started from its disks. */
			restarted: z.boolean(),
			/** When the CPUs were let go, by the target's clock. */
			resumedAt: TimestampMs,
		}),
	},
	/**
	 * Before the commit point only: the target throws away what it received, durably, and refuses the permit's epoch from
	 * then on. Because of that refusal the move's permit is shown, as in `prepare`; here its time does not matter.
	 */
	"incoming.discard": {
		audience: ["peer"],
		input: z.strictObject({ permit: SignedPermit }),
		output: z.strictObject({ state: IncomingState }),
	},
	/** Makes a volume larger, also while the guest runs. The same size: no change; smaller: `invalid`. */
	"volume.grow": {
		audience: ["console"],
		input: z.strictObject({ guestId: GuestId, epoch: Epoch, volumeId: VolumeId, sizeBytes: VolumeSizeBytes }),
		output: GuestReport,
	},
	/** Makes a volume and gives it to the guest, also while it runs. */
	"volume.attach": {
		audience: ["console"],
		input: z.strictObject({ guestId: GuestId, epoch: Epoch, volume: Volume }),
		output: GuestReport,
	},
	/** What the guest has, by the host's own record. `wrong_state` while a change of it is not settled. */
	"volume.list": {
		audience: ["console"],
		input: oneGuest,
		output: z.strictObject({ volumes: z.array(Volume).max(16) }),
	},
	/** Moves a volume to another pool of the same host, also while the guest runs. Answers when it is there. */
	"volume.move": {
		audience: ["console"],
		input: z.strictObject({ guestId: GuestId, epoch: Epoch, volumeId: VolumeId, pool: ResourceName }),
		output: GuestReport,
	},

	/** Makes a repository in an empty place. @throws `conflict` when something is there already. */
	"repository.create": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess }),
		output: RepositoryUsage,
	},
	/** Which repository is at a place, without its key: how one is attached whose id nobody remembers. `not_found`. */
	"repository.identify": {
		audience: ["console"],
		input: z.strictObject({ place: RepositoryPlace }),
		output: z.strictObject({ repositoryId: RepositoryId }),
	},
	/** Opens it and decrypts a test: `forbidden` for a wrong or replaced key, `not_found`, `unavailable`. */
	"repository.inspect": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess }),
		output: RepositoryUsage,
	},
	/** Writes a new key and makes the old one useless. */
	"repository.replaceKey": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, newKey: RepositoryKey }),
		output: nothing,
	},
	/** Visible points by rising id behind `after`, as many as fit a frame; `more` says whether there are others behind them. */
	"repository.points": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, after: PointId.nullable() }),
		output: z.strictObject({ points: z.array(RecoveryPoint).max(200), more: z.boolean() }),
	},
	/** Makes points invisible at once; a later collection frees their space. Unknown ones: no change. */
	"repository.prune": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, pointIds: z.array(PointId).max(10_000) }),
		output: nothing,
	},
	/** Begins a round and answers at once; the rest comes as `upkeep.changed`. The same id again: no change. */
	"repository.upkeep": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, upkeepId: UpkeepId, kind: UpkeepKind }),
		output: UpkeepReport,
	},

	/** What the next run would read, and why. */
	"backup.plan": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, guestId: GuestId, options: BackupOptions }),
		output: BackupPlan,
	},
	/** Begins a run and answers when its journal has it; the rest comes as `backup.changed`. The same point again: no change. */
	"backup.start": {
		audience: ["console"],
		input: z.strictObject({
			access: RepositoryAccess,
			pointId: PointId,
			guestId: GuestId,
			epoch: Epoch,
			options: BackupOptions,
		}),
		output: BackupReport,
	},
	/** Before its commit only; after it there is nothing to cancel. */
	"backup.cancel": { audience: ["console"], input: z.strictObject({ pointId: PointId }), output: BackupReport },

	/**
	 * Begins a restore or a drill and answers when its journal has it; the rest comes as `restore.changed`. `spec` is the
	 * guest to be: a new one (not on this host yet, epoch 1), or the old one, stopped, under a higher epoch. `volumes`
	 * says which volume of the point fills which of the spec; those of the spec that are not named are left as they are.
	 */
	"restore.start": {
		audience: ["console"],
		input: z.strictObject({
			access: RepositoryAccess,
			restoreId: RestoreId,
			mode: RestoreMode,
			pointId: PointId,
			spec: GuestSpec,
			epoch: Epoch,
			volumes: z
				.array(z.strictObject({ from: VolumeId, to: VolumeId }))
				.min(1)
				.max(16),
			check: DrillCheck.nullable(),
			/** Start the guest when its volumes are there (`copy`). */
			start: z.boolean(),
		}),
		output: RestoreReport,
	},
	"restore.cancel": { audience: ["console"], input: z.strictObject({ restoreId: RestoreId }), output: RestoreReport },
	/**
	 * Ends a restore that can only go forward, whose guest does not run: it keeps its half-filled volumes and is not started
	 * from them. `wrong_state` while it has a process, or where it can be cancelled.
	 */
	"restore.giveUp": { audience: ["console"], input: z.strictObject({ restoreId: RestoreId }), output: RestoreReport },
	/** The drill's picture, PNG. */
	"restore.screenshot": {
		audience: ["console"],
		input: z.strictObject({ restoreId: RestoreId }),
		output: z.strictObject({ png: z.base64().max(8_000_000) }),
	},

	/** File systems inside a point's volume, as libguestfs names them: `/dev/sda1`. The first question takes the longest. */
	"files.fileSystems": {
		audience: ["console"],
		input: z.strictObject({ access: RepositoryAccess, pointId: PointId, volumeId: VolumeId }),
		output: z.strictObject({
			fileSystems: z.array(z.strictObject({ device: z.string().max(200), type: z.string().max(50) })).max(200),
		}),
	},
	"files.list": {
		audience: ["console"],
		input: z.strictObject({
			access: RepositoryAccess,
			pointId: PointId,
			volumeId: VolumeId,
			device: z.string().max(200),
			folder: z.string().max(4096),
		}),
		output: z.strictObject({ files: z.array(GuestFile).max(10_000), truncated: z.boolean() }),
	},
	"files.read": {
		audience: ["console"],
		input: z.strictObject({
			access: RepositoryAccess,
			pointId: PointId,
			volumeId: VolumeId,
			device: z.string().max(200),
			path: z.string().max(4096),
		}),
		output: z.strictObject({ data: z.base64().max(400_000) }),
		stream: true,
	},
} as const satisfies Record<string, Command>;

export type Commands = typeof commands;
export type CommandName = keyof Commands;
export type Input<Name extends CommandName> = z.input<Commands[Name]["input"]>;
export type ParsedInput<Name extends CommandName> = z.output<Commands[Name]["input"]>;
export type Output<Name extends CommandName> = z.output<Commands[Name]["output"]>;
export type StreamName = { [Name in CommandName]: Commands[Name] extends { stream: true } ? Name : never }[CommandName];
export type CallName = Exclude<CommandName, StreamName>;
