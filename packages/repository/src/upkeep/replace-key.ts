import type { RepositoryKey } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { parseRepositoryKey } from "@sterna/shared/repository-key";
import { keyringKey, loadKeyring, storeKeyring, withNewDataKey } from "../format/keyring.ts";
import type { Opened } from "../opened.ts";

/**
 * The new slot first: between the two steps either key opens the repository. Of several at once one wins at most. Each
 * replacement adds a data key, so a slot that is larger than the one at hand comes from a replacement of it. Who finds such a
 * one before, or a rival beside its own new slot, gives way: of two, the one that wrote later always finds the other.
 * @throws {SternaError} `conflict`: another replacement came first, nothing was changed; `forbidden` when the key was replaced
 * before; `incompatible` in a locked bucket; those of the storage.
 */
export async function replaceKey(opened: Opened, newKey: RepositoryKey): Promise<void> {
	const { storage, repositoryKey, config } = opened;
	if (storage.locked) {
		throw new SternaError("incompatible", "the key of a repository in a locked bucket cannot be replaced", {
			cure: "make a new repository and let the jobs use it",
		});
	}
	const bytes = await parseRepositoryKey(newKey);
	const [ownSlot, newSlot] = [repositoryKey.bytes, bytes].map((key) => keyringKey(config.repositoryId, key));
	const former = await slots(opened);
	// Read anew: a keyring of before another replacement lacks the data key of what was written since.
	const keyring = withNewDataKey(await loadKeyring(storage, config.repositoryId, repositoryKey.bytes));
	const ownBytes = former.get(ownSlot ?? "") ?? 0;
	if ([...former].some(([slot, sizeBytes]) => slot !== newSlot && sizeBytes > ownBytes)) throw overtaken();
	await storeKeyring(storage, config.repositoryId, bytes, keyring);
	const present = await slots(opened);
	if ([...present.keys()].some((slot) => slot !== newSlot && !former.has(slot))) {
		await storage.remove(newSlot ?? "");
		throw overtaken();
	}
	for (const slot of former.keys()) await storage.remove(slot);
	opened.sealing.keyring = keyring;
	repositoryKey.bytes = bytes;
}

/**
 * Whether what cannot be opened may be whole: the key at hand was replaced, or is being replaced, and what is written since is
 * under a data key that this keyring lacks. @param lackedBefore `Sealing.lacked` when the work began
 */
export async function isKeyReplaced(opened: Opened, lackedBefore: number): Promise<boolean> {
	const { config, repositoryKey, sealing } = opened;
	const own = keyringKey(config.repositoryId, repositoryKey.bytes);
	const present = await slots(opened);
	const ownBytes = present.get(own);
	if (ownBytes === undefined) return present.size > 0;
	return sealing.lacked > lackedBefore && [...present.values()].some((sizeBytes) => sizeBytes > ownBytes);
}

async function slots({ storage }: Opened): Promise<Map<string, number>> {
	const found = new Map<string, number>();
	for await (const { key, sizeBytes } of storage.list("keys/")) found.set(key, sizeBytes);
	return found;
}

function overtaken(): SternaError {
	return new SternaError(
		"conflict",
		"another replacement of this repository's key came first; this one changed nothing",
		{
			cure: "use the key that the other replacement gave; if nobody has it, replace again in a while",
		},
	);
}
