import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";
import { request } from "node:https";
import { isIP } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { asSternaError, SternaError, WireError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { isConsoleAltName } from "@sterna/shared/protocol/join";
import type { z } from "zod";
import type { Credentials } from "../context.ts";

export interface ConsoleAddress {
	address: string;
	port: number;
}

/** How the console is recognised: by its pinned key before joining, by its authority ever after. */
export type Trust = { pin: string } | { credentials: Credentials };

const connectTimeoutMs = 10_000;
const answerTimeoutMs = 30_000;
const maxAnswerBytes = 256 * 1024;

/** TLS options for a client that has joined: our certificate, and a certificate of our authority that is the console's own. */
function consoleTls(credentials: Credentials): ConnectionOptions {
	return {
		...credentials,
		minVersion: "TLSv1.3",
		rejectUnauthorized: true,
		checkServerIdentity: (_host, certificate) =>
			isConsoleAltName(certificate.subjectaltname)
				? undefined
				: new SternaError("forbidden", "the server that answered is not the console"),
	};
}

/** A TLS server name; addresses have none (RFC 6066 §3). */
function serverName(address: string): string {
	return isIP(address) ? "" : address;
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo, base64url (RFC 7469 §2.4). */
export function pinOf(certificate: Uint8Array): string {
	const spki = new X509Certificate(certificate).publicKey.export({ type: "spki", format: "der" });
	return createHash("sha256").update(spki).digest("base64url");
}

/**
 * Posts JSON to the console. Not one byte of the request leaves before the console was recognised.
 * @throws {SternaError} `forbidden` when another key answers than the pinned one; what the console answered; `unavailable`; `timeout`.
 */
export async function postToConsole<Schema extends z.ZodType>({
	console,
	trust,
	path,
	body,
	answer,
}: {
	console: ConsoleAddress;
	trust: Trust;
	path: string;
	body: unknown;
	answer: Schema;
}): Promise<z.output<Schema>> {
	const socket = await recognise(console, trust);
	try {
		const { status, text } = await exchange(socket, console, path, JSON.stringify(body));
		if (status === 200) return answer.parse(parseJson(text));
		throw refusalOf(status, text);
	} finally {
		socket.destroy();
	}
}

/**
 * Connects and makes sure that it is the console which answers; nothing was sent yet.
 * @throws {SternaError} as `postToConsole`.
 */
export function recognise({ address, port }: ConsoleAddress, trust: Trust, signal?: AbortSignal): Promise<TLSSocket> {
	const options: ConnectionOptions =
		"pin" in trust ? { minVersion: "TLSv1.3", rejectUnauthorized: false } : consoleTls(trust.credentials);
	return new Promise((resolve, reject) => {
		const socket = connect({ ...options, host: address, port, servername: serverName(address) });
		const fail = (error: SternaError) => {
			clearTimeout(timer);
			socket.destroy();
			reject(error);
		};
		const onAbort = () => fail(new SternaError("cancelled", "the connection to the console is not wanted any more"));
		signal?.addEventListener("abort", onAbort, { once: true });
		socket.once("close", () => signal?.removeEventListener("abort", onAbort));
		const timer = setTimeout(
			() => fail(new SternaError("timeout", `the console at ${address}:${port} did not answer within 10 s`)),
			connectTimeoutMs,
		);
		socket.on("error", (cause) => fail(unreachable({ address, port }, cause)));
		socket.once("secureConnect", () => {
			if ("pin" in trust && !samePin(pinOf(socket.getPeerCertificate().raw), trust.pin)) {
				return fail(
					new SternaError("forbidden", `${address}:${port} answers with another key than the join string names`, {
						cure: "nothing was sent; make sure that the address is the console's, then take a new join string",
					}),
				);
			}
			clearTimeout(timer);
			resolve(socket);
		});
	});
}

function exchange(
	socket: TLSSocket,
	console: ConsoleAddress,
	path: string,
	body: string,
): Promise<{ status: number; text: string }> {
	return new Promise((resolve, reject) => {
		const outgoing = request(
			{
				createConnection: () => socket,
				host: console.address,
				port: console.port,
				path,
				method: "POST",
				headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
				signal: AbortSignal.timeout(answerTimeoutMs),
			},
			(response) => {
				const chunks: Buffer[] = [];
				let bytes = 0;
				response.on("data", (chunk: Buffer) => {
					bytes += chunk.length;
					if (bytes > maxAnswerBytes) response.destroy(new Error("the answer is too long"));
					else chunks.push(chunk);
				});
				response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
				response.on("error", (cause) => reject(unreachable(console, cause)));
			},
		);
		outgoing.on("error", (cause) => reject(unreachable(console, cause)));
		outgoing.end(body);
	});
}

function refusalOf(status: number, text: string): SternaError {
	try {
		return SternaError.fromWire(WireError.parse(parseJson(text)));
	} catch (thrown) {
		return new SternaError("unavailable", `the console answered with HTTP status ${status} and no reason`, {
			cause: asSternaError(thrown),
		});
	}
}

function unreachable({ address, port }: ConsoleAddress, cause: Error): SternaError {
	if (cause instanceof SternaError) return cause;
	if (cause.name === "TimeoutError" || cause.name === "AbortError") {
		return new SternaError("timeout", `the console at ${address}:${port} did not answer within 30 s`, { cause });
	}
	return new SternaError("unavailable", `the console at ${address}:${port} cannot be reached: ${cause.message}`, {
		cause,
	});
}

function samePin(a: string, b: string): boolean {
	const [left, right] = [Buffer.from(a), Buffer.from(b)];
	return left.length === right.length && timingSafeEqual(left, right);
}
