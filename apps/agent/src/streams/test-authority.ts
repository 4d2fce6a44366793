import "reflect-metadata";
import { generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto";
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import { HostId, newId } from "@sterna/shared/ids";
import { hostUri } from "@sterna/shared/protocol/join";
import type { StreamIdentity } from "./messages.ts";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 24 * 60 * 60 * 1000;

export interface TestAuthority {
	/** The console's private key, which signs permits too. */
	privateKey: KeyObject;
	/** PEM. */
	certificate: string;
	issue(hostId: HostId): Promise<StreamIdentity>;
}

/** A console's certificate authority for tests, with the certificates that hosts get from it at joining. */
export async function testAuthority(): Promise<TestAuthority> {
	const { privateKey, keys } = await newKeys();
	const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
	const certificate = await X509CertificateGenerator.createSelfSigned(
		{
			name: [{ CN: ["test console"] }],
			serialNumber: "01",
			...validity,
			signingAlgorithm: algorithm,
			keys,
			extensions: [new BasicConstraintsExtension(true, 0, true)],
		},
		webcrypto,
	);
	return {
		privateKey,
		certificate: certificate.toString("pem"),
		issue: async (hostId) => {
			const host = await newKeys();
			const issued = await X509CertificateGenerator.create(
				{
					serialNumber: newId(HostId).replaceAll("-", ""),
					subject: [{ CN: [hostId] }],
					issuer: certificate.subjectName,
					...validity,
					signingAlgorithm: algorithm,
					publicKey: host.keys.publicKey,
					signingKey: keys.privateKey,
					extensions: [new SubjectAlternativeNameExtension([{ type: "url", value: hostUri(hostId) }])],
				},
				webcrypto,
			);
			return {
				key: host.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
				certificate: issued.toString("pem"),
				authority: certificate.toString("pem"),
			};
		},
	};
}

async function newKeys(): Promise<{ privateKey: KeyObject; keys: webcrypto.CryptoKeyPair }> {
	const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const { subtle } = webcrypto;
	return {
		privateKey,
		keys: {
			privateKey: await subtle.importKey(
				"pkcs8",
				new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" })),
				algorithm,
				false,
				["sign"],
			),
			publicKey: await subtle.importKey(
				"spki",
				new Uint8Array(publicKey.export({ type: "spki", format: "der" })),
				algorithm,
				true,
				["verify"],
			),
		},
	};
}
