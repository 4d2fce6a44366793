import { SternaError } from "@sterna/shared/errors";
import { RepositoryId, TimestampMs } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import type { Storage } from "../storage.ts";

export const configKey = "config";

/** How content is named: a keyed hash, so that who has only the storage cannot ask it for known content. */
export const HashKind = z.enum(["hmac-sha256", "blake3"]);
export type HashKind = z.infer<typeof HashKind>;

/** What a reader must know before it has the key. Written once. */
export const RepositoryConfig = z.strictObject({
	format: z.literal(1, "this release reads repositories of format 1 only"),
	repositoryId: RepositoryId,
	/** A power of two, 4 KiB to 1 MiB: it divides every volume's size. */
	blockSizeBytes: z
		.int()
		.min(4096)
		.max(1024 * 1024)
		.refine((size) => Number.isInteger(Math.log2(size)), "a block's size is a power of two"),
	hash: HashKind,
	createdAt: TimestampMs,
});
export type RepositoryConfig = z.infer<typeof RepositoryConfig>;

/** @throws {SternaError} `not_found` when there is no repository, `invalid` when it is of another format. */
export async function readConfig(storage: Storage): Promise<RepositoryConfig> {
	const bytes = await storage.get(configKey).catch((error: unknown) => {
		if (!(error instanceof SternaError) || error.code !== "not_found") throw error;
		throw new SternaError("not_found", "there is no repository at this place", {
			cure: "check the place, or make a repository there",
			cause: error,
		});
	});
	const parsed = RepositoryConfig.safeParse(parseJson(Buffer.from(bytes).toString("utf8")));
	if (parsed.success) return parsed.data;
	throw new SternaError("invalid", `the repository's config cannot be used: ${parsed.error.issues[0]?.message}`, {
		cause: parsed.error,
	});
}

/** @throws {SternaError} `conflict` when there is a repository already. */
export async function writeConfig(storage: Storage, config: RepositoryConfig): Promise<void> {
	await storage.create(configKey, Buffer.from(`${JSON.stringify(config, null, "\t")}\n`, "utf8"));
}
