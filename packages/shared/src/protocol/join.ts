import { z } from "zod";
import { SternaError } from "../errors.ts";
import { HostId } from "../ids.ts";
import { Name } from "../names.ts";

/**
 * The one line that an admin pastes: `sterna1:<address>:<port>:<pin>:<secret>`. `pin` is the SHA-256 of the console's
 * public key (SubjectPublicKeyInfo, RFC 7469 §2.4), `secret` is 32 random bytes, both base64url. One use, 30 minutes.
 */
export interface JoinString {
	address: string;
	port: number;
	pin: string;
	secret: string;
}

const form = /^sterna1:([a-zA-Z0-9.-]{1,255}|\[[0-9a-fA-F:]{2,45}\]):(\d{1,5}):([\w-]{43}):([\w-]{43})$/;

export function formatJoinString({ address, port, pin, secret }: JoinString): string {
	return `sterna1:${address}:${port}:${pin}:${secret}`;
}

/** @throws {SternaError} `invalid` that says where to get a new one; never repeats the secret. */
export function parseJoinString(text: string): JoinString {
	const [, address, port, pin, secret] = form.exec(text.trim()) ?? [];
	if (!address || !port || !pin || !secret || Number(port) < 1 || Number(port) > 65535) {
		throw new SternaError("invalid", "this is not a join string of Sterna", {
			cure: "copy the whole line from Hosts, Join a server; it starts with sterna1:",
		});
	}
	return { address: address.replace(/^\[|\]$/g, ""), port: Number(port), pin, secret };
}

/** What a server sends to join, over TLS to the pinned key: POST /join. */
export const JoinRequest = z.strictObject({
	secret: z.string().regex(/^[\w-]{43}$/),
	name: Name,
	/** PKCS #10 request (RFC 2986) in PEM; its key never leaves the server. */
	certificateRequest: z.string().max(8192),
});
export type JoinRequest = z.infer<typeof JoinRequest>;

/** POST /renew, over mutual TLS with the certificate that still holds. */
export const RenewRequest = z.strictObject({ certificateRequest: z.string().max(8192) });

export const JoinResponse = z.strictObject({
	hostId: HostId,
	/** The host's certificate, PEM; 30 days, SAN `URI:sterna://host/<hostId>`. */
	certificate: z.string().max(16_384),
	/** The console's certificate authority, PEM: what the host trusts from now on. */
	authority: z.string().max(16_384),
});
export type JoinResponse = z.infer<typeof JoinResponse>;

/** The identity that a host's certificate carries. */
export function hostUri(hostId: HostId): string {
	return `sterna://host/${hostId}`;
}

/** The identity that the certificate of the console's agent port carries. */
export const consoleUri = "sterna://console";

/** Whether a certificate's subjectAltName, as Node prints it, is the console's. */
export function isConsoleAltName(subjectAltName: string | undefined): boolean {
	return (subjectAltName ?? "").split(", ").includes(`URI:${consoleUri}`);
}

/** The host id in a certificate's subjectAltName as Node prints it, or null. */
export function hostIdOfAltName(subjectAltName: string | undefined): HostId | null {
	const match = /(?:^|, )URI:sterna:\/\/host\/([0-9a-f-]{36})(?:,|$)/.exec(subjectAltName ?? "");
	return match ? (HostId.safeParse(match[1]).data ?? null) : null;
}
