import { z } from "zod";
import { ErrorCode } from "./errors.ts";
import { GuestSpec } from "./guest.ts";
import { GuestId, HostId, PointId, RepositoryId, RestoreId, TimestampMs, UpkeepId, VolumeId } from "./ids.ts";
import { ResourceName } from "./names.ts";
import { VolumeSizeBytes } from "./volume.ts";

/**
 * Where a repository is. `directory`: a folder that the agent's own configuration names (a disk, an NFS mount), so that
 * nothing from a socket becomes a path. `s3`: a bucket that speaks S3; the credentials travel with each command.
 */
export const RepositoryPlace = z.discriminatedUnion("kind", [
	z.strictObject({ kind: z.literal("directory"), name: ResourceName }),
	z.strictObject({
		kind: z.literal("s3"),
		endpoint: z.url({ protocol: /^https?$/ }).max(500),
		region: z.string().min(1).max(64),
		bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/),
		/** Keys begin with it; empty or ending in a slash. */
		prefix: z
			.string()
			.max(200)
			.regex(/^([A-Za-z0-9._-]+\/)*$/),
		accessKeyId: z.string().min(1).max(128),
		secretAccessKey: z.string().min(1).max(256),
		/** Days for which what is written cannot be deleted by anyone (S3 Object Lock, compliance mode); 0 without. */
		lockDays: z.int().min(0).max(3650),
	}),
]);
export type RepositoryPlace = z.infer<typeof RepositoryPlace>;

/** The key that opens a repository, as a person keeps it: `sterna-key-1-` and base32 with a checksum. */
export const RepositoryKey = z
	.string()
	.regex(
		/^sterna-key-1-[a-z2-7]{58}$/,
		"a repository key begins with sterna-key-1- and has 58 letters and digits after",
	);
export type RepositoryKey = z.infer<typeof RepositoryKey>;

/** Everything an agent needs to work with a repository. Holds secrets: never logged, never in an argument list. */
export const RepositoryAccess = z.strictObject({
	repositoryId: RepositoryId,
	place: RepositoryPlace,
	key: RepositoryKey,
});
export type RepositoryAccess = z.infer<typeof RepositoryAccess>;

/** `application`: the guest agent froze the file systems for the instant. `crash`: as after a power cut. `stopped`: the guest was off. */
export const Consistency = z.enum(["application", "crash", "stopped"]);
export type Consistency = z.infer<typeof Consistency>;

/** Why a volume is read whole, or why only its changes are. Shown before the run. */
export const ReadReason = z.enum([
	"unchangedChain",
	"firstBackup",
	"newVolume",
	"lastPointGone",
	"lastPointDamaged",
	"bitmapMissing",
	"bitmapInconsistent",
	"bitmapOfOtherPoint",
	"volumeShrunk",
	"askedFor",
]);
export type ReadReason = z.infer<typeof ReadReason>;

/** One disk inside a recovery point. */
export const PointVolume = z.strictObject({
	volumeId: VolumeId,
	sizeBytes: VolumeSizeBytes,
	/** What the run read, and what it had to store, compressed and sealed. */
	readBytes: z.int().min(0),
	storedBytes: z.int().min(0),
	changedBytes: z.int().min(0),
	read: z.enum(["changes", "whole"]),
	reason: ReadReason,
});
export type PointVolume = z.infer<typeof PointVolume>;

/** One state of one guest that can be restored, as its manifest says it. */
export const RecoveryPoint = z.strictObject({
	pointId: PointId,
	repositoryId: RepositoryId,
	guestId: GuestId,
	guestName: z.string().max(63),
	hostId: HostId,
	/** The instant that the point shows, by the host's clock. */
	takenAt: TimestampMs,
	finishedAt: TimestampMs,
	parentPointId: PointId.nullable(),
	consistency: Consistency,
	/** Why it is not `application` although the guest runs; null when it is. */
	consistencyRemark: z.string().max(500).nullable(),
	spec: GuestSpec,
	volumes: z.array(PointVolume).max(16),
});
export type RecoveryPoint = z.infer<typeof RecoveryPoint>;

export const BackupOptions = z.strictObject({
	/** At most so many bytes a second are read from the guest's disks and sent; null without a limit. */
	bytesPerSecond: z
		.int()
		.min(1024 * 1024)
		.nullable()
		.default(null),
	freeze: z.boolean().default(true),
	/** Reads everything again although the chain is whole. */
	readWhole: z.boolean().default(false),
});
export type BackupOptions = z.infer<typeof BackupOptions>;

/** What a run would do, before it does it. */
export const BackupPlan = z.strictObject({
	guestId: GuestId,
	parentPointId: PointId.nullable(),
	volumes: z
		.array(
			z.strictObject({
				volumeId: VolumeId,
				sizeBytes: z.int().min(0),
				read: z.enum(["changes", "whole"]),
				reason: ReadReason,
				/** What will be read. */
				readBytes: z.int().min(0),
			}),
		)
		.max(16),
	refusals: z
		.array(z.strictObject({ code: ErrorCode, message: z.string().max(1000), cure: z.string().max(1000).optional() }))
		.max(50),
});
export type BackupPlan = z.infer<typeof BackupPlan>;

/** The phases of one run, in order. `commit` is the point: with the manifest written the recovery point is there. */
export const BackupPhase = z.enum(["openSession", "takeSnapshot", "copyBlocks", "commit", "releaseSnapshot"]);
export type BackupPhase = z.infer<typeof BackupPhase>;

/** How a task of an agent stands. `waiting`: the repository is out of reach, the guest is not touched by that. */
export const TaskState = z.enum(["running", "waiting", "undoing", "completed", "failed", "cancelled"]);
export type TaskState = z.infer<typeof TaskState>;

export const endedTaskStates: readonly TaskState[] = ["completed", "failed", "cancelled"];

const taskError = z
	.strictObject({ code: ErrorCode, message: z.string().max(4000), cure: z.string().max(2000).optional() })
	.nullable();
const journal = z.array(z.strictObject({ at: TimestampMs, text: z.string().max(500) })).max(200);

/** How far one run is. The point's id names the run. Published about twice a second; `generation` rises. */
export const BackupReport = z.strictObject({
	pointId: PointId,
	guestId: GuestId,
	repositoryId: RepositoryId,
	hostId: HostId,
	generation: z.int().min(0),
	state: TaskState,
	phase: BackupPhase,
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	/** How long the guest's file systems stood still; null when they did not. */
	frozenMs: z.number().min(0).nullable(),
	totalBytes: z.int().min(0),
	readBytes: z.int().min(0),
	storedBytes: z.int().min(0),
	/** Why it goes slower than it could: the guest's disk latency, the limit, the repository; null at full speed. */
	slowedBy: z.string().max(300).nullable(),
	volumes: z.array(PointVolume).max(16),
	/** The point, once it is there. */
	point: RecoveryPoint.nullable(),
	error: taskError,
	journal,
});
export type BackupReport = z.infer<typeof BackupReport>;

/**
 * How a point is brought back. `copy`: volumes are written whole, then the guest may start. `instant`: it starts at once
 * from the repository while its data streams in. `drill`: instant, without networks, thrown away after the proof.
 */
export const RestoreMode = z.enum(["copy", "instant", "drill"]);
export type RestoreMode = z.infer<typeof RestoreMode>;

export const RestorePhase = z.enum(["prepare", "copyBlocks", "boot", "stream", "prove", "finish"]);
export type RestorePhase = z.infer<typeof RestorePhase>;

/** How a drill knows that the guest works: its agent answers, or its serial line prints a text. */
export const DrillCheck = z.discriminatedUnion("kind", [
	z.strictObject({ kind: z.literal("guestAgent") }),
	z.strictObject({ kind: z.literal("serialText"), text: z.string().min(1).max(200) }),
]);
export type DrillCheck = z.infer<typeof DrillCheck>;

/** How far one restore or drill is. */
export const RestoreReport = z.strictObject({
	restoreId: RestoreId,
	mode: RestoreMode,
	pointId: PointId,
	repositoryId: RepositoryId,
	/** The guest that is made or written over. */
	guestId: GuestId,
	hostId: HostId,
	generation: z.int().min(0),
	state: TaskState,
	phase: RestorePhase,
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	totalBytes: z.int().min(0),
	copiedBytes: z.int().min(0),
	/** From the beginning to the guest's CPUs running, and to its check being met. */
	bootedAfterMs: z.number().min(0).nullable(),
	provedAfterMs: z.number().min(0).nullable(),
	/** A picture of the drill's screen is kept by the agent (`restore.screenshot`). */
	hasScreenshot: z.boolean(),
	/** A person ended it for good: the guest stays, stopped, with half-filled disks. */
	givenUp: z.boolean().default(false),
	error: taskError,
	journal,
});
export type RestoreReport = z.infer<typeof RestoreReport>;

/** `scrub` reads everything; `collect` frees what no point needs; `canary` tries to delete what must not be deletable. */
export const UpkeepKind = z.enum(["scrub", "collect", "canary"]);
export type UpkeepKind = z.infer<typeof UpkeepKind>;

/** What one report tells at most: damages, and points that one damage hits. */
export const maxDamages = 1000;
export const maxDamagedPoints = 1000;

/** Something in the repository is not as it was written: which guest, which point, which bytes of which disk. */
export const RepositoryDamage = z.strictObject({
	/** The object in the repository. */
	object: z.string().max(300),
	/** `missing`, `truncated`, `altered`: a sentence for the person. */
	text: z.string().max(500),
	/** What it hits; empty when no point needs it. */
	points: z
		.array(
			z.strictObject({
				pointId: PointId,
				guestId: GuestId,
				guestName: z.string().max(63),
				volumeId: VolumeId.nullable(),
				/** Byte ranges of the disk that cannot be read: [from, to). */
				ranges: z.array(z.strictObject({ from: z.int().min(0), to: z.int().min(0) })).max(100),
			}),
		)
		.max(maxDamagedPoints),
});
export type RepositoryDamage = z.infer<typeof RepositoryDamage>;

/** How far one round of upkeep is. */
export const UpkeepReport = z.strictObject({
	upkeepId: UpkeepId,
	kind: UpkeepKind,
	repositoryId: RepositoryId,
	hostId: HostId,
	generation: z.int().min(0),
	state: TaskState,
	startedAt: TimestampMs,
	endedAt: TimestampMs.nullable(),
	totalBytes: z.int().min(0),
	doneBytes: z.int().min(0),
	/** What was freed, by a collection. */
	freedBytes: z.int().min(0),
	damages: z.array(RepositoryDamage).max(maxDamages),
	/** What the round found, as a sentence. */
	result: z.string().max(1000).nullable(),
	error: taskError,
});
export type UpkeepReport = z.infer<typeof UpkeepReport>;

/** What a repository holds. */
export const RepositoryUsage = z.strictObject({
	at: TimestampMs,
	points: z.int().min(0),
	guests: z.int().min(0),
	/** What all points would take if each were kept whole, and what they take. */
	logicalBytes: z.int().min(0),
	storedBytes: z.int().min(0),
	/** Of the place; null where it does not say (S3). */
	capacityBytes: z.int().min(0).nullable(),
	freeBytes: z.int().min(0).nullable(),
	/** Can what was written be deleted before its time? */
	immutability: z.enum(["none", "locked"]),
});
export type RepositoryUsage = z.infer<typeof RepositoryUsage>;

/**
 * One entry of a folder inside a guest's disk. Names are bytes that the guest chose: what is not printable UTF-8, and the
 * backslash, stands as `\xNN`, in the paths of `files.list` and `files.read` too.
 */
export const GuestFile = z.strictObject({
	name: z.string().max(1024),
	kind: z.enum(["file", "folder", "link", "other"]),
	sizeBytes: z.int().min(0),
	modifiedAt: TimestampMs.nullable(),
});
export type GuestFile = z.infer<typeof GuestFile>;
