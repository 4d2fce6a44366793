import "reflect-metadata";
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	type Extension,
	KeyUsageFlags,
	KeyUsagesExtension,
	Pkcs10CertificateRequest,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509Certificate,
	X509CertificateGenerator,
} from "@peculiar/x509";
import { SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import { hostUri } from "@sterna/shared/protocol/join";
import type { Permit, SignedPermit } from "@sterna/shared/protocol/permit";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;
const authorityDays = 3650;
const hostDays = 30;
const serverDays = 90;
/** Clocks of servers differ: a certificate holds from a little before it was made. */
const backdateMs = 5 * 60_000;

export interface IssuedCertificate {
	pem: string;
	serial: string;
	issuedAt: number;
	expiresAt: number;
}

/**
 * The console's small certificate authority (P-256). Its key signs host certificates and permits and nothing else; the
 * agent port has a key of its own, whose hash is the pin of a join line. All live as files with mode 0600, so that a dump
 * of the database carries no key.
 */
export class Authority {
	/** The authority's certificate, PEM: what hosts trust. */
	readonly certificatePem: string;
	readonly #key: KeyObject;
	readonly #certificate: X509Certificate;
	readonly #serverKey: KeyObject;
	readonly #now: () => number;

	private constructor(parts: { certificatePem: string; key: KeyObject; serverKey: KeyObject; now: () => number }) {
		this.certificatePem = parts.certificatePem;
		this.#certificate = new X509Certificate(parts.certificatePem);
		this.#key = parts.key;
		this.#serverKey = parts.serverKey;
		this.#now = parts.now;
	}

	/** Opens the authority in `dir`, or makes it there at the first start. */
	static async open(dir: string, now: () => number = Date.now): Promise<Authority> {
		mkdirSync(dir, { recursive: true, mode: 0o700 });
		const key = keptKey(join(dir, "authority.key"));
		const serverKey = keptKey(join(dir, "agent-port.key"));
		const path = join(dir, "authority.crt");
		if (!existsSync(path)) writeWhole(path, await selfSigned(key, now()));
		return new Authority({ certificatePem: readFileSync(path, "utf8"), key, serverKey, now });
	}

	/** SHA-256 of the agent port's public key (SubjectPublicKeyInfo), base64url: what a join line pins. */
	get pin(): string {
		return createHash("sha256").update(spkiOf(this.#serverKey)).digest("base64url");
	}

	/** Key and certificate of the agent port, PEM, for the names and addresses that agents dial. */
	async serverCredentials(names: readonly string[]): Promise<{ key: string; cert: string }> {
		const { pem } = await this.#issue({
			commonName: "Sterna console",
			publicKey: await webPublicKey(spkiOf(this.#serverKey)),
			days: serverDays,
			usages: [ExtendedKeyUsage.serverAuth],
			altNames: [
				...names.map((name) => ({ type: isIP(name) ? ("ip" as const) : ("dns" as const), value: name })),
				{ type: "url", value: "sterna://console" },
			],
		});
		return { key: pemOf(this.#serverKey), cert: pem };
	}

	/**
	 * A host's certificate for the key of its request; what else the request asks for is ignored.
	 * @throws {SternaError} `invalid` for a request that is not readable, not signed by its own key, or not P-256.
	 */
	async issueHost(hostId: HostId, requestPem: string): Promise<IssuedCertificate> {
		const publicKey = await keyOfRequest(requestPem);
		return this.#issue({
			commonName: hostId,
			publicKey,
			days: hostDays,
			usages: [ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth],
			altNames: [{ type: "url", value: hostUri(hostId) }],
		});
	}

	/** Signs the console's word that a guest may move. */
	signPermit(permit: Permit): SignedPermit {
		const payload = Buffer.from(JSON.stringify(permit));
		return {
			payload: payload.toString("base64url"),
			signature: sign("sha256", payload, this.#key).toString("base64url"),
		};
	}

	async #issue(request: {
		commonName: string;
		publicKey: CryptoKey;
		days: number;
		usages: ExtendedKeyUsage[];
		altNames: { type: "dns" | "ip" | "url"; value: string }[];
	}): Promise<IssuedCertificate> {
		const issuedAt = this.#now();
		const expiresAt = issuedAt + request.days * dayMs;
		const serial = newSerial();
		const extensions: Extension[] = [
			new BasicConstraintsExtension(false, undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
			new ExtendedKeyUsageExtension(request.usages),
			new SubjectAlternativeNameExtension(request.altNames),
			await AuthorityKeyIdentifierExtension.create(this.#certificate, false, crypto),
			await SubjectKeyIdentifierExtension.create(request.publicKey, false, crypto),
		];
		const certificate = await X509CertificateGenerator.create(
			{
				serialNumber: serial,
				issuer: this.#certificate.subjectName,
				subject: [{ CN: [request.commonName] }],
				notBefore: new Date(issuedAt - backdateMs),
				notAfter: new Date(expiresAt),
				signingAlgorithm: algorithm,
				publicKey: request.publicKey,
				signingKey: await webSigningKey(this.#key),
				extensions,
			},
			crypto,
		);
		return { pem: certificate.toString("pem"), serial, issuedAt, expiresAt };
	}
}

async function selfSigned(key: KeyObject, now: number): Promise<string> {
	const publicKey = await webPublicKey(spkiOf(key));
	const certificate = await X509CertificateGenerator.createSelfSigned(
		{
			serialNumber: newSerial(),
			name: [{ CN: ["Sterna authority"] }],
			notBefore: new Date(now - backdateMs),
			notAfter: new Date(now + authorityDays * dayMs),
			signingAlgorithm: algorithm,
			keys: { privateKey: await webSigningKey(key), publicKey },
			extensions: [
				new BasicConstraintsExtension(true, 0, true),
				new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature, true),
				await SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
			],
		},
		crypto,
	);
	return certificate.toString("pem");
}

async function keyOfRequest(pem: string): Promise<CryptoKey> {
	try {
		const request = new Pkcs10CertificateRequest(pem);
		const key = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: "der", type: "spki" });
		if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
			throw new SternaError("invalid", "the certificate request is not for a P-256 key");
		}
		if (!(await request.verify(crypto))) {
			throw new SternaError("invalid", "the certificate request is not signed by its own key");
		}
		return await webPublicKey(Buffer.from(request.publicKey.rawData));
	} catch (cause) {
		if (cause instanceof SternaError) throw cause;
		throw new SternaError("invalid", "the certificate request is not readable", { cause });
	}
}

/** 16 random octets, positive (RFC 5280 §4.1.2.2), hexadecimal. */
function newSerial(): string {
	const octets = crypto.getRandomValues(new Uint8Array(16));
	octets[0] = ((octets[0] ?? 0) & 0x3f) | 0x40;
	return Buffer.from(octets).toString("hex");
}

function keptKey(path: string): KeyObject {
	if (!existsSync(path)) writeWhole(path, pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey));
	return createPrivateKey(readFileSync(path));
}

/** A half-written key must never be found: write aside, then rename. */
function writeWhole(path: string, content: string): void {
	writeFileSync(`${path}.new`, content, { mode: 0o600, flush: true });
	renameSync(`${path}.new`, path);
}

function pemOf(key: KeyObject): string {
	return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function spkiOf(key: KeyObject): Buffer {
	return createPublicKey(key).export({ type: "spki", format: "der" });
}

function webPublicKey(spki: Buffer): Promise<CryptoKey> {
	return crypto.subtle.importKey("spki", new Uint8Array(spki), algorithm, true, ["verify"]);
}

function webSigningKey(key: KeyObject): Promise<CryptoKey> {
	const pkcs8 = new Uint8Array(key.export({ type: "pkcs8", format: "der" }));
	return crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
}
