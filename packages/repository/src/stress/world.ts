import { createSecretKey } from "node:crypto";
import { GuestId, HostId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { RepositoryConfig, writeConfig } from "../format/config.ts";
import { type Keyring, storeKeyring } from "../format/keyring.ts";
import { ReaderId } from "../format/records.ts";
import { Sealing } from "../format/sealing.ts";
import type { Opened } from "../opened.ts";
import { PackSource } from "../read/pack-source.ts";
import type { Storage } from "../storage.ts";
import { inlineCodec } from "../testing/inline-codec.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { ActorStorage, type Deeds, type SharedObjects } from "./actor-storage.ts";
import type { Mistake } from "./mistakes.ts";
import { Random } from "./random.ts";
import { type Actor, Scheduler } from "./scheduler.ts";

export const blockSizeBytes = 4096;
/** 1 MiB: eight leaves and a root, so that trees have something to share. */
export const diskBlocks = 256;
const yearMs = 365 * 24 * 3600 * 1000;

/** What a writer meant to store, and what became of it. */
export interface IntendedPoint {
	pointId: PointId;
	content: Uint8Array;
	outcome: "running" | "committed" | "refused" | "unknown";
	/** Somebody has begun to prune it. */
	isPruned: boolean;
	/** Nobody may see it any more: a prune of it was fulfilled. */
	isGone: boolean;
}

/** What somebody who reads a point for a long time has written down, for a next life. */
export interface Reading {
	readerId: ReaderId;
	pointId: PointId;
	/** It was opened once: from then on the point is there for as long as it is read. */
	isHeld: boolean;
	/** Collections that there were when it began. */
	begunAt: number;
}

/** Something that must never be. */
export class Violation extends Error {
	override name = "Violation";
}

/** One repository, those who use it, and what it should hold. */
export class World {
	readonly random: Random;
	readonly scheduler: Scheduler;
	readonly objects: SharedObjects = new Map();
	readonly deeds: Deeds = { packsDeleted: 0, packsMoved: 0, collections: 0 };
	/** Keys that collectors took away: a reader whose hold is among them was taken for dead. */
	readonly dropped = new Set<string>();
	readonly readings = new Map<GuestId, Reading>();
	/** Pieces that were read although their points were pruned and collections went by since the reading began. */
	heldReads = 0;
	readonly points = new Map<PointId, IntendedPoint>();
	readonly hostId: HostId;
	readonly volumeId: VolumeId;
	readonly #config: RepositoryConfig;
	readonly #keyring: Keyring;
	readonly #repositoryKey: { bytes: Uint8Array };
	readonly #sealing: Sealing;
	readonly #patterns: Uint8Array[];
	readonly #mistake: Mistake;
	/**
	 * How often, per call, an answer is lost, an actor dies, a call takes very long; and how many read for a long time: what
	 * they hold hides mistakes of others. Each seed has its own weather.
	 */
	readonly weather: { lossRate: number; crashRate: number; slowRate: number; lingerers: number };

	constructor(seed: number, mistake: Mistake = (storage) => storage, weather?: World["weather"]) {
		this.random = new Random(seed);
		this.weather = weather ?? {
			lossRate: this.random.pick([0, 0.001]),
			crashRate: this.random.pick([0.0001, 0.0005, 0.002]),
			slowRate: this.random.pick([0.0002, 0.001, 0.004]),
			lingerers: seed % 2 === 0 ? 4 : 0,
		};
		this.scheduler = new Scheduler(this.random, this.weather.slowRate);
		this.#mistake = mistake;
		this.hostId = HostId.parse(this.random.uuid());
		this.volumeId = VolumeId.parse(this.random.uuid());
		this.#config = RepositoryConfig.parse({
			format: 1,
			repositoryId: RepositoryId.parse(this.random.uuid()),
			blockSizeBytes,
			hash: "hmac-sha256",
			createdAt: 1,
		});
		const [hashKey, dataKey] = [createSecretKey(this.random.bytes(32)), createSecretKey(this.random.bytes(32))];
		this.#keyring = { hashKey, dataKeys: new Map([[0, dataKey]]), current: 0 };
		this.#repositoryKey = { bytes: this.random.bytes(32) };
		this.#sealing = new Sealing(this.#config.repositoryId, this.#keyring);
		// Few contents, so that writers find one another's blocks all the time.
		this.#patterns = Array.from({ length: 60 }, () => {
			const block = this.random.bytes(blockSizeBytes / 4);
			return Uint8Array.from({ length: blockSizeBytes }, (_, at) => block[at % block.length] ?? 0);
		});
	}

	/** Makes the repository. */
	async prepare(): Promise<void> {
		const storage = new MemoryStorage();
		await storeKeyring(storage, this.#config.repositoryId, this.#repositoryKey.bytes, this.#keyring);
		await writeConfig(storage, this.#config);
		for (const [key, data] of storage.objects) this.objects.set(key, data);
	}

	/** The repository as this actor has it open. */
	open(actor: Actor): Opened {
		return this.#opened(this.#mistake(new ActorStorage(this, actor), actor, this.#sealing));
	}

	/** The repository as it is now, without anybody's delays: for looking whether all is well. */
	openDirectly(): Opened {
		const storage = new MemoryStorage();
		for (const [key, data] of this.objects) storage.objects.set(key, data);
		return this.#opened(storage);
	}

	/** Virtual time; now and then a clock is a year wrong. */
	now(): number {
		const wrong = this.random.chance(0.1) ? this.random.pick([-yearMs, yearMs]) : 0;
		return 10 * yearMs + this.scheduler.nowMs + wrong;
	}

	newPointId(): PointId {
		return PointId.parse(this.random.uuid());
	}

	newReaderId(): ReaderId {
		return ReaderId.parse(this.random.uuid());
	}

	newGuestId(): GuestId {
		return GuestId.parse(this.random.uuid());
	}

	/** A block's content: one of few, or zeros, or now and then something that nobody else has. */
	newBlock(): Uint8Array {
		if (this.random.chance(0.1)) return new Uint8Array(blockSizeBytes);
		if (this.random.chance(0.2)) {
			const block = new Uint8Array(blockSizeBytes);
			block.set(this.random.bytes(64));
			return block;
		}
		return this.random.pick(this.#patterns);
	}

	#opened(storage: Storage): Opened {
		const [config, sealing] = [this.#config, this.#sealing];
		return {
			storage,
			config,
			sealing,
			codec: inlineCodec(),
			packs: new PackSource(storage, sealing, config.blockSizeBytes),
			repositoryKey: this.#repositoryKey,
		};
	}
}
