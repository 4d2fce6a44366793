import type { Codec } from "./codec/codec.ts";
import type { RepositoryConfig } from "./format/config.ts";
import type { Sealing } from "./format/sealing.ts";
import type { PackSource } from "./read/pack-source.ts";
import type { Storage } from "./storage.ts";

/** A repository inside: what writing, reading and upkeep share. */
export interface Opened {
	readonly storage: Storage;
	readonly config: RepositoryConfig;
	/** Seals and opens small objects; knows the keys of packs. */
	readonly sealing: Sealing;
	/** Hashes, compresses, seals and opens blocks in worker threads. */
	readonly codec: Codec;
	/** Bytes of packs, wherever compaction has put them. */
	readonly packs: PackSource;
	/** What opened it: a scrub sees whether it still would. Another one after a replacement. */
	readonly repositoryKey: { bytes: Uint8Array };
}
