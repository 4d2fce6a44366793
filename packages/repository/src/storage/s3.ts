import { createHash } from "node:crypto";
import type { RepositoryPlace } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { z } from "zod";
import { checkStorageKey, checkStoragePrefix, isLockedKey, type Storage } from "../storage.ts";
import { parseXml, type S3Answer, S3Client } from "./s3-client.ts";

const retainUntil = "x-amz-object-lock-retain-until-date";
const dayMs = 24 * 60 * 60 * 1000;

const Listing = z.object({
	ListBucketResult: z.object({
		IsTruncated: z.enum(["true", "false"]),
		NextContinuationToken: z.string().optional(),
		Contents: z.array(z.object({ Key: z.string(), Size: z.string().regex(/^\d{1,15}$/) })).default([]),
	}),
});

/**
 * A repository in a bucket. Path-style addresses, signature version 4, one PUT per object. `create` relies on
 * `If-None-Match: *`; `checkPlace` in `check-place.ts` finds out whether the server keeps that promise.
 *
 * With `lockDays` the bucket must have Object Lock: what a restore needs is then written with a retention in compliance mode,
 * so that no credential deletes it before its time. See docs/decisions/0012.
 */
export function openS3(place: Extract<RepositoryPlace, { kind: "s3" }>, now: () => number = Date.now): Storage {
	return new Bucket(place, now);
}

interface Page {
	objects: { key: string; sizeBytes: number }[];
	next: string | null;
}

class Bucket implements Storage {
	readonly locked: boolean;
	readonly extendLock?: (key: string) => Promise<void>;
	readonly #client: S3Client;
	readonly #prefix: string;
	readonly #lockDays: number;
	readonly #now: () => number;

	constructor(place: Extract<RepositoryPlace, { kind: "s3" }>, now: () => number) {
		this.#client = new S3Client(place);
		this.#prefix = place.prefix;
		this.#lockDays = place.lockDays;
		this.#now = now;
		this.locked = place.lockDays > 0;
		if (this.locked) this.extendLock = (key) => this.#extendLock(key);
	}

	async put(key: string, data: Uint8Array): Promise<void> {
		await this.#put(key, data, {}, [200]);
	}

	async create(key: string, data: Uint8Array): Promise<void> {
		const answer = await this.#put(key, data, { "if-none-match": "*" }, [200, 412]);
		if (answer.status === 200) return;
		// An attempt whose answer was lost may have made the object: then what is in the way is ours.
		if (answer.repeated && Buffer.compare(await this.get(key), data) === 0) return;
		throw new SternaError("conflict", `${key} is in the repository already`);
	}

	async get(key: string, range?: { offset: number; length: number }): Promise<Uint8Array> {
		checkStorageKey(key);
		if (range?.length === 0) return new Uint8Array(0);
		const headers: Record<string, string> = range
			? { range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
			: {};
		const request = { method: "GET", key: this.#prefix + key, headers, what: key } as const;
		const answer = await this.#client.request({ ...request, expected: range ? [206, 416] : [200] });
		if (answer.status === 416) return new Uint8Array(0);
		return answer.body;
	}

	async size(key: string): Promise<number | null> {
		checkStorageKey(key);
		// Asked by a listing, because the answer to HEAD does not tell a missing object from a missing bucket.
		const { objects } = await this.#page(this.#prefix + key, null, 1);
		const first = objects[0];
		return first?.key === key ? first.sizeBytes : null;
	}

	async *list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }> {
		checkStoragePrefix(prefix);
		for (let token: string | null = null; ; ) {
			const page: Page = await this.#page(this.#prefix + prefix, token, 1000);
			yield* page.objects;
			token = page.next;
			if (token === null) return;
		}
	}

	async remove(key: string): Promise<void> {
		checkStorageKey(key);
		const request = { key: this.#prefix + key, what: key };
		for (;;) {
			// In a bucket that keeps versions a plain DELETE only hides: each version must go, or the one before it comes back.
			const found = await this.#client.request({ ...request, method: "HEAD", expected: [200, 404] });
			if (found.status === 404) return;
			const versionId = found.headers.get("x-amz-version-id");
			const query: Record<string, string> = versionId ? { versionId } : {};
			await this.#client.request({ ...request, method: "DELETE", query, expected: [200, 204, 404] });
			if (!versionId || versionId === "null") return;
		}
	}

	async capacity(): Promise<{ capacityBytes: null; freeBytes: null }> {
		return { capacityBytes: null, freeBytes: null };
	}

	/** Objects come into being whole; there is nothing half-written. */
	async tidy(): Promise<void> {}

	async close(): Promise<void> {}

	async #put(key: string, data: Uint8Array, condition: Record<string, string>, expected: number[]): Promise<S3Answer> {
		checkStorageKey(key);
		// Off the event loop, and once: for the signature, and for the server to keep.
		const digest = Buffer.from(await crypto.subtle.digest("SHA-256", new Uint8Array(data)));
		const headers = {
			...condition,
			"x-amz-content-sha256": digest.toString("hex"),
			"x-amz-checksum-sha256": digest.toString("base64"),
			...(this.locked && isLockedKey(key) ? this.#retention() : {}),
		};
		return this.#client.request({ method: "PUT", key: this.#prefix + key, headers, body: data, expected, what: key });
	}

	#retention(): Record<string, string> {
		return {
			"x-amz-object-lock-mode": "COMPLIANCE",
			[retainUntil]: new Date(this.#lockedUntil()).toISOString(),
		};
	}

	/** By the clock of this host, which cannot be far out: a server takes signatures of the last minutes only. */
	#lockedUntil(): number {
		return this.#now() + this.#lockDays * dayMs;
	}

	/** PutObjectRetention of the Amazon S3 API Reference, for the version that is read. */
	async #extendLock(key: string): Promise<void> {
		checkStorageKey(key);
		const request = { key: this.#prefix + key, what: key };
		const found = await this.#client.request({ ...request, method: "HEAD", expected: [200] });
		// Absent where the credentials may not see it: then the server itself refuses to shorten a lock in compliance mode.
		const present = found.headers.get(retainUntil);
		const wanted = this.#lockedUntil();
		if (present !== null && Date.parse(present) >= wanted) return;
		const until = new Date(wanted).toISOString();
		const text = `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>COMPLIANCE</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`;
		const versionId = found.headers.get("x-amz-version-id");
		const query = { retention: "", ...(versionId ? { versionId } : {}) };
		// The API wants a digest with this body; MD5 is the one that every server knows.
		const headers = {
			"content-md5": createHash("md5").update(text).digest("base64"),
			"content-type": "application/xml",
		};
		const body = Buffer.from(text, "utf8");
		await this.#client.request({ ...request, method: "PUT", query, headers, body, expected: [200, 204] });
	}

	async #page(prefix: string, token: string | null, maxKeys: number): Promise<Page> {
		const query = {
			"list-type": "2",
			prefix,
			"max-keys": String(maxKeys),
			...(token === null ? {} : { "continuation-token": token }),
		};
		const answer = await this.#client.request({
			method: "GET",
			query,
			expected: [200],
			what: "the list of the bucket",
		});
		const parsed = Listing.safeParse(parseXml(answer.body));
		if (!parsed.success) {
			throw new SternaError("unavailable", "the S3 server's list of the bucket cannot be read", {
				cause: parsed.error,
			});
		}
		const { IsTruncated, NextContinuationToken, Contents } = parsed.data.ListBucketResult;
		if (IsTruncated === "true" && NextContinuationToken === undefined)
			throw new SternaError("unavailable", "the S3 server's list of the bucket breaks off");
		return {
			objects: Contents.filter(({ Key }) => Key.startsWith(this.#prefix)).map(({ Key, Size }) => ({
				key: Key.slice(this.#prefix.length),
				sizeBytes: Number(Size),
			})),
			next: IsTruncated === "true" ? (NextContinuationToken ?? null) : null,
		};
	}
}
