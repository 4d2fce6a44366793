import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { RepositoryId } from "@sterna/shared/ids";
import type { Keyring } from "./keyring.ts";
import type { PackId } from "./pack-id.ts";

/** AES-256-GCM (NIST SP 800-38D) with 96-bit nonces and 128-bit tags, everywhere. */
export const cipherName = "aes-256-gcm";
export const nonceBytes = 12;
export const tagBytes = 16;

const keptPackKeys = 256;
const objectMagic = Buffer.from("STO1", "ascii");

/** 32 bytes by HKDF-SHA256 (RFC 5869). */
export function deriveBytes(secret: Uint8Array | KeyObject, salt: Uint8Array, info: string): Buffer {
	return Buffer.from(hkdfSync("sha256", secret, salt, info, 32));
}

/** As a key object: ciphers take one several times faster than bytes, and nothing prints it. */
export function deriveKey(secret: Uint8Array | KeyObject, salt: Uint8Array, info: string): KeyObject {
	return createSecretKey(deriveBytes(secret, salt, info));
}

export function sealWith(key: KeyObject, nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array): Buffer {
	const cipher = createCipheriv(cipherName, key, nonce);
	cipher.setAAD(aad);
	return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Null when it is not what was sealed: another key, another place, or changed bytes. */
export function openWith(key: KeyObject, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Buffer | null {
	if (sealed.length < tagBytes) return null;
	const decipher = createDecipheriv(cipherName, key, nonce);
	decipher.setAAD(aad);
	decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
	const plain = decipher.update(sealed.subarray(0, sealed.length - tagBytes));
	try {
		decipher.final();
	} catch {
		return null;
	}
	return plain;
}

/** Everything that needs the keys of one repository. */
export class Sealing {
	readonly #repositoryId: RepositoryId;
	/** Replaced with a newer one of the same repository when its key is. */
	keyring: Keyring;
	readonly #objectKeys = new Map<number, KeyObject>();
	readonly #packKeys = new Map<string, KeyObject>();
	/** How often a data key was asked for that the keyring does not have: damage, or the repository's key was replaced since. */
	lacked = 0;

	constructor(repositoryId: RepositoryId, keyring: Keyring) {
		this.#repositoryId = repositoryId;
		this.keyring = keyring;
	}

	get hashKey(): KeyObject {
		return this.keyring.hashKey;
	}

	/** The data key that new objects are sealed under. */
	get currentKeyNumber(): number {
		return this.keyring.current;
	}

	/** The key of one pack under one data key; null when the keyring lacks that one. */
	packKey(packId: PackId, keyNumber: number): KeyObject | null {
		const name = `${packId} ${keyNumber}`;
		const known = this.#packKeys.get(name);
		if (known) return known;
		const dataKey = this.keyring.dataKeys.get(keyNumber);
		if (!dataKey) {
			this.lacked++;
			return null;
		}
		const packKey = deriveKey(dataKey, Buffer.from(packId, "hex"), "sterna-pack-1");
		if (this.#packKeys.size >= keptPackKeys) this.#packKeys.clear();
		this.#packKeys.set(name, packKey);
		return packKey;
	}

	/** Seals a small object for the key where it will be: at another place, or in another repository, it does not open. */
	sealObject(key: string, plain: Uint8Array): Buffer {
		const head = Buffer.concat([objectMagic, Buffer.of(this.currentKeyNumber)]);
		const nonce = randomBytes(nonceBytes);
		const sealed = sealWith(this.#objectKey(this.currentKeyNumber, key), nonce, this.#aad(key, head), plain);
		return Buffer.concat([head, nonce, sealed]);
	}

	/**
	 * @throws {SternaError} `invalid` naming the object when it is not as it was written; `forbidden` when it is sealed under
	 * a data key that came after the key this was opened with.
	 */
	openObject(key: string, bytes: Uint8Array): Buffer {
		const headBytes = objectMagic.length + 1;
		if (
			bytes.length < headBytes + nonceBytes + tagBytes ||
			!objectMagic.equals(bytes.subarray(0, objectMagic.length))
		) {
			throw new SternaError("invalid", `${key} is truncated or no object of this format`);
		}
		const head = bytes.subarray(0, headBytes);
		const nonce = bytes.subarray(headBytes, headBytes + nonceBytes);
		const objectKey = this.#objectKey(bytes[objectMagic.length] ?? 0, key);
		const plain = openWith(objectKey, nonce, this.#aad(key, head), bytes.subarray(headBytes + nonceBytes));
		if (!plain) throw new SternaError("invalid", `${key} is not as it was written: its seal does not fit`);
		return plain;
	}

	#aad(key: string, head: Uint8Array): Buffer {
		return Buffer.concat([head, Buffer.from(`${this.#repositoryId}/${key}`, "utf8")]);
	}

	#objectKey(keyNumber: number, key: string): KeyObject {
		const known = this.#objectKeys.get(keyNumber);
		if (known) return known;
		const dataKey = this.keyring.dataKeys.get(keyNumber);
		if (!dataKey) {
			this.lacked++;
			throw new SternaError(
				"forbidden",
				`${key} is sealed under data key ${keyNumber}, which this keyring does not have`,
				{
					cure: "the repository's key was replaced, or the object was altered; open the repository with its present key",
				},
			);
		}
		const objectKey = deriveKey(dataKey, Buffer.from(this.#repositoryId, "utf8"), "sterna-object-1");
		this.#objectKeys.set(keyNumber, objectKey);
		return objectKey;
	}
}
