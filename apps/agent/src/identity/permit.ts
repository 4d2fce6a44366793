import { verify, X509Certificate } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { Permit, type SignedPermit } from "@sterna/shared/protocol/permit";

/**
 * The permit inside, when the console's authority signed exactly these bytes and it names this host.
 * @throws {SternaError} `forbidden`.
 */
export function verifyPermit(signed: SignedPermit, authorityPem: string, hostId: HostId): Permit {
	const payload = Buffer.from(signed.payload, "base64url");
	const { publicKey } = new X509Certificate(authorityPem);
	if (!verify("sha256", payload, publicKey, Buffer.from(signed.signature, "base64url"))) {
		throw new SternaError("forbidden", "the permit was not signed by this host's console");
	}
	const permit = Permit.parse(parseJson(payload.toString()));
	if (permit.sourceHostId !== hostId && permit.targetHostId !== hostId) {
		throw new SternaError("forbidden", "the permit is about two other hosts");
	}
	return permit;
}
