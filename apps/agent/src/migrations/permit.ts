import { verify, X509Certificate } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { Permit, type SignedPermit } from "@sterna/shared/protocol/permit";

/**
 * The permit inside, when the console's authority signed it (ECDSA P-256 with SHA-256, DER as RFC 3279 §2.2.3) and it
 * names this host as source or target. Whether it may still begin a move is for `refuseLatePermit`.
 * @throws {SternaError} `forbidden`, never saying what of it was wrong beyond what the sender can know.
 */
export function verifyPermit(
	signed: SignedPermit,
	{ authority, hostId }: { /** The console's certificate, PEM. */ authority: string; hostId: HostId },
): Permit {
	const { publicKey } = new X509Certificate(authority);
	const payload = Buffer.from(signed.payload, "base64url");
	if (!verify("sha256", payload, publicKey, Buffer.from(signed.signature, "base64url"))) {
		throw new SternaError("forbidden", "the permit is not signed by this host's console");
	}
	const permit = Permit.safeParse(parseJson(payload.toString("utf8")));
	if (!permit.success) throw new SternaError("forbidden", "the permit has another form than this agent knows");
	const { sourceHostId, targetHostId } = permit.data;
	if (sourceHostId === targetHostId || (hostId !== sourceHostId && hostId !== targetHostId)) {
		throw new SternaError("forbidden", "the permit is not for this host");
	}
	return permit.data;
}

/** For the beginning of a move only. @throws {SternaError} `forbidden` when the permit is over. */
export function refuseLatePermit({ expiresAt }: Permit, now: number): void {
	if (now <= expiresAt) return;
	throw new SternaError("forbidden", "the permit for this migration is over", {
		cure: "compare the clocks of the console and its hosts, then start the migration again",
	});
}
