import "reflect-metadata";
import { createPrivateKey, generateKeyPairSync, verify, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Authority } from "./authority.ts";

let dir: string;
let authority: Authority;

beforeAll(async () => {
	dir = mkdtempSync(join(tmpdir(), "sterna-authority-"));
	authority = await Authority.open(dir);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function request(namedCurve = "P-256"): Promise<string> {
	const algorithm = { name: "ECDSA", namedCurve, hash: "SHA-256" };
	const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
	const csr = await Pkcs10CertificateRequestGenerator.create(
		{ name: [{ CN: ["liar"] }], signingAlgorithm: algorithm, keys },
		crypto,
	);
	return csr.toString("pem");
}

describe("the authority", () => {
	test("gives a host 30 days, its own identity and both ends of a connection", async () => {
		const hostId = newId(HostId);
		const { pem } = await authority.issueHost(hostId, await request());
		const certificate = new X509Certificate(pem);
		const ca = new X509Certificate(authority.certificatePem);
		expect(certificate.verify(ca.publicKey)).toBe(true);
		expect(hostIdOfAltName(certificate.subjectAltName)).toBe(hostId);
		expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"]);
		expect(certificate.ca).toBe(false);
		const days = (certificate.validToDate.getTime() - Date.now()) / 86_400_000;
		expect(days).toBeGreaterThan(29.9);
		expect(days).toBeLessThanOrEqual(30);
	});

	test("ignores the name that a request asks for", async () => {
		const { pem } = await authority.issueHost(newId(HostId), await request());
		expect(new X509Certificate(pem).subject).not.toContain("liar");
	});

	test.each([
		["no request at all", async () => "hello"],
		["a request for another kind of key", () => request("P-384")],
		[
			"a request whose signature was changed",
			async () => {
				const pem = await request();
				const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
				der[der.length - 3] = (der[der.length - 3] ?? 0) ^ 0xff;
				return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----`;
			},
		],
	])("refuses %s", async (_, make) => {
		await expect(authority.issueHost(newId(HostId), await make())).rejects.toMatchObject({ code: "invalid" });
	});

	test("is the same authority after a restart, and keeps its keys from others", async () => {
		const again = await Authority.open(dir);
		expect(again.certificatePem).toBe(authority.certificatePem);
		expect(again.pin).toBe(authority.pin);
		for (const file of ["authority.key", "agent-port.key"]) expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
	});

	test("signs permits that the authority's certificate proves, byte for byte", () => {
		const permit = {
			migrationId: newId(MigrationId),
			guestId: newId(GuestId),
			epoch: 7,
			sourceHostId: newId(HostId),
			targetHostId: newId(HostId),
			expiresAt: 1,
		};
		const signed = authority.signPermit(permit);
		const payload = Buffer.from(signed.payload, "base64url");
		const { publicKey } = new X509Certificate(authority.certificatePem);
		const signature = Buffer.from(signed.signature, "base64url");
		expect(JSON.parse(payload.toString())).toEqual(permit);
		expect(verify("sha256", payload, publicKey, signature)).toBe(true);
		expect(verify("sha256", Buffer.from(payload.toString().replace("7", "8")), publicKey, signature)).toBe(false);
	});

	test("answers on the agent port with the pinned key, which is not the authority's", async () => {
		const { key, cert } = await authority.serverCredentials(["127.0.0.1", "console.example"]);
		const certificate = new X509Certificate(cert);
		expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
		expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
		expect(certificate.checkHost("console.example")).toBe("console.example");
		expect(hostIdOfAltName(certificate.subjectAltName)).toBeNull();
		expect(certificate.checkPrivateKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)).toBe(false);
	});
});
