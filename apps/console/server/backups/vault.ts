import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { SternaError } from "@sterna/shared/errors";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const version = "1";

/**
 * Seals what must not be readable from the database alone: AES-256-GCM under a key that stays in the console's data folder.
 * An envelope is `1.` and base64url of nonce (12 bytes), ciphertext and tag (16 bytes); what it belongs to is
 * authenticated with it, so that one row's secret cannot be put into another's.
 */
export class Vault {
	readonly #key: Buffer;

	constructor(key: Buffer) {
		if (key.length !== keyBytes) throw new SternaError("invalid", "the vault's key has 32 bytes");
		this.#key = key;
	}

	/** Opens the vault of this data folder; makes its key at the first start. @throws {SternaError} `invalid` when it is damaged. */
	static open(path: string): Vault {
		if (!existsSync(path))
			writeFileSync(path, randomBytes(keyBytes).toString("base64url"), { mode: 0o600, flush: true });
		const key = Buffer.from(readFileSync(path, "utf8").trim(), "base64url");
		if (key.length !== keyBytes) {
			throw new SternaError("invalid", `the file ${path} is damaged: without it no stored repository key can be read`, {
				cure: "bring it back from a copy; or remove it and attach the repositories again with their recovery keys",
			});
		}
		return new Vault(key);
	}

	seal(text: string, belongsTo: string): string {
		const nonce = randomBytes(nonceBytes);
		const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(Buffer.from(belongsTo));
		const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
		return `${version}.${sealed.toString("base64url")}`;
	}

	/** @throws {SternaError} `forbidden` when it was sealed by another key, for something else, or altered. */
	unseal(envelope: string, belongsTo: string): string {
		const [made = "", body = ""] = envelope.split(".");
		const sealed = Buffer.from(body, "base64url");
		try {
			if (made !== version || sealed.length < nonceBytes + tagBytes) throw new Error(`envelope version ${made}`);
			const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(0, nonceBytes))
				.setAAD(Buffer.from(belongsTo))
				.setAuthTag(sealed.subarray(-tagBytes));
			const text = decipher.update(sealed.subarray(nonceBytes, -tagBytes));
			return Buffer.concat([text, decipher.final()]).toString("utf8");
		} catch (cause) {
			throw new SternaError("forbidden", `the stored secret of ${belongsTo} cannot be opened with this console's key`, {
				cure: "bring back backup.secret of the console's data folder, or attach the repository again with its recovery key",
				cause,
			});
		}
	}
}
