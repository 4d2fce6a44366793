import "reflect-metadata";
import { generateKeyPairSync, type KeyObject, randomBytes, webcrypto } from "node:crypto";
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";
import type { HostId } from "@sterna/shared/ids";
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
	/** The certificate that the console itself shows: it names no host. */
	issueConsole(): Promise<StreamIdentity>;
}

/** A console's certificate authority for tests, with the certificates that hosts get from it at joining. */
export async function testAuthority(): Promise<TestAuthority> {
	const { privateKey, keys } = await newKeys();
	const validity = { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + dayMs) };
	const certificate = await X509CertificateGenerator.createSelfSigned(
		{
			name: [{ CN: ["test authority"] }],
			serialNumber: "01",
			...validity,
			signingAlgorithm: algorithm,
			keys,
			extensions: [new BasicConstraintsExtension(true, 0, true)],
		},
		webcrypto,
	);
	async function issue(name: string, uri: string): Promise<StreamIdentity> {
		const holder = await newKeys();
		const issued = await X509CertificateGenerator.create(
			{
				serialNumber: randomBytes(8).toString("hex"),
				subject: [{ CN: [name] }],
				issuer: certificate.subjectName,
				...validity,
				signingAlgorithm: algorithm,
				publicKey: holder.keys.publicKey,
				signingKey: keys.privateKey,
				extensions: [new SubjectAlternativeNameExtension([{ type: "url", value: uri }])],
			},
			webcrypto,
		);
		return {
			key: holder.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
			certificate: issued.toString("pem"),
			authority: certificate.toString("pem"),
		};
	}
	return {
		privateKey,
		certificate: certificate.toString("pem"),
		issue: (hostId) => issue(hostId, hostUri(hostId)),
		issueConsole: () => issue("test console", "sterna://console"),
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
