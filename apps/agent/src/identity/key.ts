import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new P-256 key as PKCS #8 PEM. It never leaves this server. */
export function newPrivateKey(): string {
	return generateKeyPairSync("ec", { namedCurve: "P-256" })
		.privateKey.export({ type: "pkcs8", format: "pem" })
		.toString();
}

/** A PKCS #10 request (RFC 2986) in PEM for the key; the console decides what stands in the certificate. */
export async function certificateRequest(privateKeyPem: string, name: string): Promise<string> {
	// Used twice a month and 20 MB in memory: loaded when it is used. The library needs the metadata polyfill first.
	await import("reflect-metadata");
	const { Pkcs10CertificateRequestGenerator } = await import("@peculiar/x509");
	const privateKey = createPrivateKey(privateKeyPem);
	const request = await Pkcs10CertificateRequestGenerator.create(
		{ name: [{ CN: [name] }], signingAlgorithm: algorithm, keys: await webKeys(privateKey) },
		webcrypto,
	);
	return request.toString("pem");
}

async function webKeys(privateKey: KeyObject): Promise<webcrypto.CryptoKeyPair> {
	const { subtle } = webcrypto;
	const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
	const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
	return {
		privateKey: await subtle.importKey("pkcs8", new Uint8Array(pkcs8), algorithm, false, ["sign"]),
		publicKey: await subtle.importKey("spki", new Uint8Array(spki), algorithm, true, ["verify"]),
	};
}
