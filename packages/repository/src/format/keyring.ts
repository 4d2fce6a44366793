import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { RepositoryId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import type { Storage } from "../storage.ts";
import { deriveBytes, deriveKey, nonceBytes, openWith, sealWith } from "./sealing.ts";

/** The keys inside a repository. The repository key opens the keyring and nothing else, so it can be replaced. */
export interface Keyring {
	/** Names blocks; never changes, so that blocks keep their names. */
	hashKey: KeyObject;
	/** By number, 0 to 255; each replacement of the repository key adds one. */
	dataKeys: Map<number, KeyObject>;
	/** The data key for what is written from now on. */
	current: number;
}

const magic = Buffer.from("STK1", "ascii");
const keyHex = z.string().regex(/^[0-9a-f]{64}$/, "a key is 64 hex digits");
const KeyringRecord = z
	.strictObject({
		hashKey: keyHex,
		dataKeys: z
			.array(z.strictObject({ number: z.int().min(0).max(255), key: keyHex }))
			.min(1)
			.max(256),
		current: z.int().min(0).max(255),
	})
	.refine((record) => record.dataKeys.some(({ number }) => number === record.current), {
		message: "the current data key is not in the keyring",
	});

export function newKeyring(): Keyring {
	return { hashKey: randomKey(), dataKeys: new Map([[0, randomKey()]]), current: 0 };
}

/** The same keyring with one more data key: who had the old repository key cannot read what is written from now on. */
export function withNewDataKey(keyring: Keyring): Keyring {
	const number = Math.max(...keyring.dataKeys.keys()) + 1;
	if (number > 255) {
		throw new SternaError("no_capacity", "the key of this repository was replaced 255 times; a keyring holds no more", {
			cure: "make a new repository and back up into it",
		});
	}
	return { ...keyring, dataKeys: new Map([...keyring.dataKeys, [number, randomKey()]]), current: number };
}

/** Where the keyring that `key` opens is: the slot follows from the key, so a wrong key finds none. */
export function keyringKey(repositoryId: RepositoryId, key: Uint8Array): string {
	const id = deriveBytes(key, Buffer.from(repositoryId, "utf8"), "sterna-key-id-1");
	return `keys/${id.toString("hex", 0, 16)}`;
}

/** @throws {SternaError} `conflict` when this key already opens the repository; those of the storage. */
export async function storeKeyring(storage: Storage, repositoryId: RepositoryId, key: Uint8Array, keyring: Keyring) {
	const record: z.input<typeof KeyringRecord> = {
		hashKey: keyring.hashKey.export().toString("hex"),
		dataKeys: [...keyring.dataKeys].map(([number, bytes]) => ({ number, key: bytes.export().toString("hex") })),
		current: keyring.current,
	};
	const place = keyringKey(repositoryId, key);
	const nonce = randomBytes(nonceBytes);
	const plain = Buffer.from(JSON.stringify(record), "utf8");
	const sealed = sealWith(wrappingKey(repositoryId, key), nonce, aad(repositoryId, place), plain);
	await storage.create(place, Buffer.concat([magic, nonce, sealed]));
}

/** @throws {SternaError} `forbidden` for a wrong or replaced key; `invalid` when the keyring is not as it was written. */
export async function loadKeyring(storage: Storage, repositoryId: RepositoryId, key: Uint8Array): Promise<Keyring> {
	const place = keyringKey(repositoryId, key);
	const bytes = await readSlot(storage, place);
	const headBytes = magic.length + nonceBytes;
	const plain = magic.equals(bytes.subarray(0, magic.length))
		? openWith(
				wrappingKey(repositoryId, key),
				bytes.subarray(magic.length, headBytes),
				aad(repositoryId, place),
				bytes.subarray(headBytes),
			)
		: null;
	if (!plain) throw new SternaError("invalid", `${place} is not as it was written: its seal does not fit`);
	const record = KeyringRecord.parse(parseJson(plain.toString("utf8")));
	return {
		hashKey: keyOfHex(record.hashKey),
		dataKeys: new Map(record.dataKeys.map((each) => [each.number, keyOfHex(each.key)])),
		current: record.current,
	};
}

async function readSlot(storage: Storage, place: string): Promise<Uint8Array> {
	try {
		return await storage.get(place);
	} catch (error) {
		if (!(error instanceof SternaError) || error.code !== "not_found") throw error;
		throw new SternaError("forbidden", "this key does not open the repository", {
			cure: "use the repository's present key; if it was replaced, the old one opens nothing",
			cause: error,
		});
	}
}

function randomKey(): KeyObject {
	return createSecretKey(randomBytes(32));
}

function keyOfHex(hex: string): KeyObject {
	return createSecretKey(Buffer.from(hex, "hex"));
}

function wrappingKey(repositoryId: RepositoryId, key: Uint8Array): KeyObject {
	return deriveKey(key, Buffer.from(repositoryId, "utf8"), "sterna-keyring-1");
}

function aad(repositoryId: RepositoryId, place: string): Buffer {
	return Buffer.concat([magic, Buffer.from(`${repositoryId}/${place}`, "utf8")]);
}
