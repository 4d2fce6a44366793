import { SternaError } from "@sterna/shared/errors";
import { RepositoryId, TimestampMs } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import type { Storage } from "../storage.ts";

export const configKey = "config";

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
	/** How blocks are named. Chosen by measurement: docs/decisions/0010. */
	hash: z.literal("hmac-sha256"),
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
	await storage.create(configKey, configText(config));
}

/** The bytes of the object. */
export function configText(config: RepositoryConfig): Buffer {
	return Buffer.from(`${JSON.stringify(config, null, "\t")}\n`, "utf8");
}
