import { createPrivateKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { HostId } from "@sterna/shared/ids";
import { Name } from "@sterna/shared/names";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import { z } from "zod";
import type { Credentials } from "../context.ts";
import { readJsonFile, writeDurably } from "../durable-file.ts";

/** What this server is and whom it trusts, in one file (`identity.json`, 0600) so that key and certificate always match. */
export const Identity = z.strictObject({
	hostId: HostId,
	name: Name,
	console: z.strictObject({ address: z.string().min(1).max(255), port: z.int().min(1).max(65535) }),
	/** PKCS #8 PEM; made here, never sent anywhere. */
	privateKey: z.string(),
	certificate: z.string(),
	/** The console's certificate authority: nobody else is trusted. */
	authority: z.string(),
});
export type Identity = z.infer<typeof Identity>;

/** Null when this server has not joined. @throws {SternaError} `invalid` when the file is damaged. */
export function readIdentity(dataDir: string): Promise<Identity | null> {
	return readJsonFile(join(dataDir, "identity.json"), Identity);
}

export function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
	return writeDurably(join(dataDir, "identity.json"), JSON.stringify(Identity.parse(identity)), 0o600);
}

export function credentialsOf({ privateKey, certificate, authority }: Identity): Credentials {
	return { key: privateKey, cert: certificate, ca: authority };
}

/**
 * Checks what a console answered before it is trusted: the certificate is for our key, signed by the authority that
 * came with it, and names the host that it came for.
 * @throws {SternaError} `incompatible`.
 */
export function checkIdentity(identity: Identity): Identity {
	const certificate = parseCertificate(identity.certificate);
	const authority = parseCertificate(identity.authority);
	if (!certificate.checkPrivateKey(createPrivateKey(identity.privateKey))) throw unusable("it is for another key");
	if (!certificate.verify(authority.publicKey)) throw unusable("its authority did not sign it");
	if (hostIdOfAltName(certificate.subjectAltName) !== identity.hostId) throw unusable("it names another host");
	return identity;
}

/** When the certificate should be renewed: after two thirds of its life. Milliseconds since 1970. */
export function renewalDueAt(certificatePem: string): number {
	const { validFromDate, validToDate } = parseCertificate(certificatePem);
	const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
	return from + ((to - from) * 2) / 3;
}

function parseCertificate(pem: string): X509Certificate {
	try {
		return new X509Certificate(pem);
	} catch (cause) {
		throw unusable("it is not readable", cause);
	}
}

function unusable(why: string, cause?: unknown): SternaError {
	return new SternaError("incompatible", `the console's answer has a certificate that cannot be used: ${why}`, {
		cure: "check that agent and console are of versions that work together",
		cause,
	});
}
