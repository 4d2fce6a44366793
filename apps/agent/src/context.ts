import type { Hypervisor, StartRequest, VolumeLocation } from "@sterna/hypervisor/hypervisor";
import type { BackupReport, RestoreReport, UpkeepReport } from "@sterna/shared/backup";
import type { GuestSpec } from "@sterna/shared/guest";
import type { HostFacts } from "@sterna/shared/host";
import type { GuestId, HostId, MigrationId, PointId, RestoreId } from "@sterna/shared/ids";
import type { MigrationPlan, MigrationReport } from "@sterna/shared/migration";
import type { CallName, Input, Output, ParsedInput, PeerAddress } from "@sterna/shared/protocol/commands";
import type { Permit, SignedPermit } from "@sterna/shared/protocol/permit";
import type { Caller } from "@sterna/shared/protocol/rpc";
import type { Volume } from "@sterna/shared/volume";
import type { Logger } from "pino";
import type { AgentConfig } from "./config.ts";
import type { GuestHolds } from "./guests/holds.ts";
import type { GuestQueue } from "./guests/queue.ts";
import type { GuestStore } from "./guests/store.ts";
import type { PoolFolder } from "./host-facts.ts";

/** Wall clock, injected so that tests can move it. */
export interface Clock {
	/** Milliseconds since 1970-01-01 UTC. */
	now(): number;
}

/** What proves who this host is. Read it anew for every connection: renewal replaces it. */
export interface Credentials {
	/** PEM, as `node:tls` takes them. */
	readonly key: string;
	readonly cert: string;
	/** The console's authority; nobody else is trusted. */
	readonly ca: string;
}

/** Turns names of the protocol into places on this server; nothing from a socket becomes a path in any other way. */
export interface Places {
	pools(): PoolFolder[];
	/** Where volumes are. @throws {SternaError} `not_found` when this host has no such pool. */
	locate(volumes: readonly Volume[]): VolumeLocation[];
	/** Where the guest's volumes are, in the spec's order. */
	volumes(spec: GuestSpec): VolumeLocation[];
	/** Everything that the hypervisor needs to start the guest. @throws {SternaError} `not_found` naming what is missing. */
	startRequest(spec: GuestSpec): Promise<StartRequest>;
	/** Makes volumes, with their images' content or empty to be filled by a migration. On failure those it made are gone. */
	createVolumes(volumes: readonly Volume[], fill: "images" | "empty"): Promise<void>;
}

/** Calls to other agents over mutual TLS; connections are kept and shared. */
export interface Peers {
	/**
	 * @throws {SternaError} what the peer answered; `host_offline` when it cannot be reached; `forbidden` when the one
	 * that answers is not the host expected; `timeout`.
	 */
	call<Name extends CallName>(
		peer: PeerAddress,
		command: Name,
		input: Input<Name>,
		options?: { timeoutMs?: number; signal?: AbortSignal },
	): Promise<Output<Name>>;
}

/** Where changes are told. State is read anew at telling, so telling too often does no harm. */
export interface Announcer {
	/** The guest's record, process or run record changed. */
	guestChanged(guestId: GuestId): void;
	migrationChanged(migration: MigrationReport): void;
	backupChanged(backup: BackupReport): void;
	restoreChanged(restore: RestoreReport): void;
	upkeepChanged(upkeep: UpkeepReport): void;
}

/** What the agent's parts build on. */
export interface AgentContext {
	readonly hostId: HostId;
	readonly dataDir: string;
	/** Names this boot of the server (`/proc/sys/kernel/random/boot_id`). */
	readonly bootId: string;
	readonly config: AgentConfig;
	readonly clock: Clock;
	readonly log: Logger;
	readonly hypervisor: Hypervisor;
	readonly store: GuestStore;
	readonly queue: GuestQueue;
	/** Who has which guest for a longer time than a turn. */
	readonly holds: GuestHolds;
	readonly places: Places;
	readonly peers: Peers;
	readonly announce: Announcer;
	credentials(): Credentials;
	facts(): Promise<HostFacts>;
	/**
	 * The permit inside, when the console signed it and it names this host as source or target. Its expiry is the
	 * caller's to judge, because a move under way is not ended by it.
	 * @throws {SternaError} `forbidden`.
	 */
	verifyPermit(signed: SignedPermit): Permit;
}

/** What moves guests between this host and its peers (`migrations/`). */
export interface MigrationService {
	plan(input: ParsedInput<"migration.plan">, signal: AbortSignal): Promise<MigrationPlan>;
	start(input: ParsedInput<"migration.start">): Promise<MigrationReport>;
	cancel(migrationId: MigrationId): Promise<MigrationReport>;
	check(input: ParsedInput<"incoming.check">, caller: Caller): Promise<Output<"incoming.check">>;
	prepare(input: ParsedInput<"incoming.prepare">, caller: Caller): Promise<Output<"incoming.prepare">>;
	renew(input: ParsedInput<"incoming.renew">, caller: Caller): Promise<Output<"incoming.renew">>;
	run(input: ParsedInput<"incoming.run">, caller: Caller): Promise<Output<"incoming.run">>;
	discard(input: ParsedInput<"incoming.discard">, caller: Caller): Promise<Output<"incoming.discard">>;
	/** The moves that this host is the source of: those under way and the latest that ended. */
	active(): MigrationReport[];
	/** Takes up what an earlier life of the agent left: called once, after running guests were adopted. */
	resumeAll(): Promise<void>;
	/** Lets go of sockets and timers without ending any move: the next life of the agent resumes them. */
	close(): Promise<void>;
}

export type CreateMigrationService = (context: AgentContext) => MigrationService;

/** The repositories that the console names (`repositories/`). Opened ones are kept for a while and shared. */
export interface RepositoryService {
	create(input: ParsedInput<"repository.create">): Promise<Output<"repository.create">>;
	identify(input: ParsedInput<"repository.identify">): Promise<Output<"repository.identify">>;
	inspect(input: ParsedInput<"repository.inspect">): Promise<Output<"repository.inspect">>;
	replaceKey(input: ParsedInput<"repository.replaceKey">): Promise<void>;
	points(input: ParsedInput<"repository.points">): Promise<Output<"repository.points">>;
	prune(input: ParsedInput<"repository.prune">): Promise<void>;
	close(): Promise<void>;
}

/** What saves this host's guests (`backups/`). */
export interface BackupService {
	plan(input: ParsedInput<"backup.plan">): Promise<Output<"backup.plan">>;
	start(input: ParsedInput<"backup.start">): Promise<BackupReport>;
	cancel(pointId: PointId): Promise<BackupReport>;
	/** The runs under way and the latest that ended. */
	reports(): BackupReport[];
	/** Settles what an earlier life of the agent left: called once, after running guests were adopted. */
	resumeAll(): Promise<void>;
	/** Stops every run where it stands: the next life of the agent settles it. */
	close(): Promise<void>;
}

/** What brings guests back (`restores/`). */
export interface RestoreService {
	start(input: ParsedInput<"restore.start">): Promise<RestoreReport>;
	cancel(restoreId: RestoreId): Promise<RestoreReport>;
	giveUp(restoreId: RestoreId): Promise<RestoreReport>;
	screenshot(restoreId: RestoreId): Promise<Output<"restore.screenshot">>;
	reports(): RestoreReport[];
	/** Serves again what guests are being filled from: called once, after running guests were adopted. */
	resumeAll(): Promise<void>;
	close(): Promise<void>;
}

/** Rounds of looking after repositories (`upkeep/`). None survives the agent: the console begins it again. */
export interface UpkeepService {
	start(input: ParsedInput<"repository.upkeep">): Promise<UpkeepReport>;
	reports(): UpkeepReport[];
	close(): Promise<void>;
}
