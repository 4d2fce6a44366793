import { SternaError } from "@sterna/shared/errors";
import { AwsClient } from "aws4fetch";
import { XMLParser } from "fast-xml-parser";
import { z } from "zod";

/** Where a bucket is and who we are there. */
export interface S3Place {
	endpoint: string;
	region: string;
	bucket: string;
	accessKeyId: string;
	secretAccessKey: string;
}

export interface S3Request {
	method: "GET" | "PUT" | "DELETE" | "HEAD";
	/** Of the bucket itself when left out. */
	key?: string;
	query?: Record<string, string>;
	headers?: Record<string, string>;
	body?: Uint8Array;
	/** Statuses that are answers, not errors. */
	expected: readonly number[];
	/** Names the request in errors: `packs/…`. */
	what: string;
}

export interface S3Answer {
	status: number;
	headers: Headers;
	body: Uint8Array;
	/** An earlier attempt ended without an answer: it may have done its work. */
	repeated: boolean;
}

const attempts = 6;
const firstDelayMs = 100;
/** What one attempt may take: a fixed part, and the time of its bytes at the slowest line that is of any use. */
const fixedDeadlineMs = 20_000;
const slowestBytesPerSecond = 256 * 1024;

const parser = new XMLParser({ parseTagValue: false, isArray: (name) => name === "Contents" });
const ErrorBody = z.object({ Error: z.object({ Code: z.string().max(100) }) });

export function parseXml(body: Uint8Array): unknown {
	return parser.parse(Buffer.from(body).toString("utf8"));
}

/**
 * Signed requests to one bucket, with deadlines. What fails on the way, and what the server says to try again (5xx, 429), is
 * tried again, later each time. Errors name the object and what the server said in one word; never a header or a secret.
 */
export class S3Client {
	readonly #client: AwsClient;
	readonly #url: string;
	readonly #bucket: string;

	constructor({ endpoint, region, bucket, accessKeyId, secretAccessKey }: S3Place) {
		this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 });
		this.#url = `${endpoint.replace(/\/+$/, "")}/${bucket}`;
		this.#bucket = bucket;
	}

	/** @throws {SternaError} by `answerError` for what is not expected, `unavailable` when no answer comes. */
	async request(request: S3Request): Promise<S3Answer> {
		let repeated = false;
		for (let attempt = 1; ; attempt++) {
			const answer = await this.#attempt(request);
			if (answer instanceof Error) {
				if (attempt === attempts) throw unreachable(new URL(this.#url).host, request.what, answer);
				repeated = true;
			} else if (request.expected.includes(answer.status)) {
				return { ...answer, repeated };
			} else {
				const error = answerError(answer, { bucket: this.#bucket, what: request.what });
				if (!worthRepeating(answer) || attempt === attempts) throw error;
				repeated ||= answer.status >= 500;
			}
			await new Promise((resolve) => setTimeout(resolve, (0.5 + Math.random()) * firstDelayMs * 2 ** (attempt - 1)));
		}
	}

	/** One attempt; an error when no whole answer came. */
	async #attempt(request: S3Request): Promise<Omit<S3Answer, "repeated"> | Error> {
		const url = new URL(request.key === undefined ? this.#url : `${this.#url}/${request.key}`);
		for (const [name, value] of Object.entries(request.query ?? {})) url.searchParams.set(name, value);
		const bodyMs = Math.ceil(((request.body?.length ?? 0) / slowestBytesPerSecond) * 1000);
		const signal = AbortSignal.timeout(fixedDeadlineMs + bodyMs);
		try {
			const response = await this.#client.fetch(url.toString(), {
				method: request.method,
				headers: request.headers ?? {},
				...(request.body ? { body: new Uint8Array(request.body) } : {}),
				redirect: "manual",
				signal,
			});
			const body = new Uint8Array(await response.arrayBuffer());
			return { status: response.status, headers: response.headers, body };
		} catch (error) {
			return error instanceof Error ? error : new Error("the request failed");
		}
	}
}

function worthRepeating({ status, body }: { status: number; body: Uint8Array }): boolean {
	if (status >= 500 && status !== 501 && status !== 507) return true;
	return status === 429 || status === 408 || (status === 409 && errorCode(body) === "ConditionalRequestConflict");
}

function errorCode(body: Uint8Array): string | null {
	try {
		return ErrorBody.safeParse(parseXml(body)).data?.Error.Code ?? null;
	} catch {
		return null;
	}
}

function unreachable(host: string, what: string, cause: Error): SternaError {
	const late = cause.name === "TimeoutError";
	return new SternaError(
		"unavailable",
		`the S3 server ${host} ${late ? "does not answer in time" : "cannot be reached"} (asked for ${what})`,
		{
			cure: "look after the S3 server and the network to it; check the endpoint's address",
			cause,
		},
	);
}

/** What a refusal of the server means here. Codes: "Error responses" of the Amazon S3 API Reference. */
export function answerError(
	{ status, body }: { status: number; body: Uint8Array },
	{ bucket, what }: { bucket: string; what: string },
): SternaError {
	const code = errorCode(body) ?? `status ${status}`;
	const text = `the S3 server answered ${code} for ${what} in the bucket ${bucket}`;
	switch (code) {
		case "NoSuchBucket":
			return new SternaError("unavailable", `the bucket ${bucket} is not there`, {
				cure: "check its name, or make it",
			});
		case "QuotaExceeded":
		case "EntityTooLarge":
		case "XMinioStorageFull":
			return new SternaError("no_capacity", text, {
				cure: "raise the bucket's quota, or prune recovery points and collect",
			});
		case "RequestTimeTooSkewed":
			return new SternaError("forbidden", text, { cure: "set this host's clock; signatures hold for minutes only" });
		case "SignatureDoesNotMatch":
		case "InvalidAccessKeyId":
			return new SternaError("forbidden", text, { cure: "check the access key and the secret key" });
		case "InvalidRequest":
			return new SternaError("invalid", text, {
				cure: "when objects are to be locked, the bucket must have been made with Object Lock; without it, lock for 0 days",
			});
		case "PermanentRedirect":
		case "AuthorizationHeaderMalformed":
			return new SternaError("invalid", text, { cure: "check the region and the endpoint of the bucket" });
	}
	if (status === 404) return new SternaError("not_found", `${what} is not in the bucket`);
	if (status === 412) return new SternaError("conflict", `${what} is in the bucket already`);
	if (status === 403) return new SternaError("forbidden", text, { cure: "check what the access key is allowed to do" });
	if (status === 507) return new SternaError("no_capacity", text, { cure: "free space on the S3 server" });
	if (status === 501) return new SternaError("incompatible", text, { cure: "use an S3 server that has this function" });
	if (status >= 300 && status < 400)
		return new SternaError("invalid", text, { cure: "name the endpoint that the server redirects to" });
	if (status >= 500 || status === 429 || status === 408) return new SternaError("unavailable", text);
	return new SternaError("invalid", text);
}
