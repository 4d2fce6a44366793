import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Vault } from "./vault.ts";

const dir = mkdtempSync(join(tmpdir(), "sterna-v-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const vault = new Vault(randomBytes(32));

test("what was sealed is opened again, and does not show in the envelope", () => {
	const envelope = vault.seal("the key", "repository a");
	expect(vault.unseal(envelope, "repository a")).toBe("the key");
	expect(Buffer.from(envelope, "base64url").toString("latin1")).not.toContain("the key");
	expect(vault.seal("the key", "repository a")).not.toBe(envelope);
});

test("an envelope of another repository, of another console, or altered by one bit opens nothing", () => {
	const envelope = vault.seal("the key", "repository a");
	expect(() => vault.unseal(envelope, "repository b")).toThrow(/cannot be opened/);
	expect(() => new Vault(randomBytes(32)).unseal(envelope, "repository a")).toThrow(/cannot be opened/);
	const bytes = Buffer.from(envelope.slice(2), "base64url");
	for (let bit = 0; bit < bytes.length * 8; bit++) {
		const altered = Buffer.from(bytes);
		altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
		expect(() => vault.unseal(`1.${altered.toString("base64url")}`, "repository a")).toThrow(/cannot be opened/);
	}
	for (const text of ["", "1.", "1.AAAA", "2.".concat(envelope.slice(2))]) {
		expect(() => vault.unseal(text, "repository a")).toThrow(/cannot be opened/);
	}
});

test("the key is made once, for its owner only, and a damaged one is told", () => {
	const path = join(dir, "backup.secret");
	const envelope = Vault.open(path).seal("kept", "x");
	expect(Vault.open(path).unseal(envelope, "x")).toBe("kept");
	expect(statSync(path).mode & 0o777).toBe(0o600);
	writeFileSync(path, "short");
	expect(() => Vault.open(path)).toThrow(/is damaged/);
});
