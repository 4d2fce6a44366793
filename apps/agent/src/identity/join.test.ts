import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HostId, newId } from "@sterna/shared/ids";
import { hostUri } from "@sterna/shared/protocol/join";
import { expect, test } from "vitest";
import { silent, testConsole, testFolder } from "../fixtures/test-agent.ts";
import { checkIdentity, readIdentity, renewalDueAt } from "./identity.ts";
import { joinConsole } from "./join.ts";
import { keepRenewed, renewIdentity } from "./renewal.ts";

async function newServer() {
	const console = await testConsole();
	return { console, dataDir: await testFolder() };
}

test("a server that joins keeps a certificate that names it, readable by its owner only", async () => {
	const { console, dataDir } = await newServer();
	const { hostId } = await joinConsole({ dataDir, joinString: console.joinString(), name: "server-1" });
	const identity = await readIdentity(dataDir);
	expect(identity).toMatchObject({ hostId, name: "server-1", authority: console.authorityPem });
	expect(new X509Certificate(identity?.certificate ?? "").subjectAltName).toBe(`URI:${hostUri(hostId)}`);
	expect((await stat(join(dataDir, "identity.json"))).mode & 0o777).toBe(0o600);
	expect(console.requests.map(({ body }) => body).join()).not.toContain("PRIVATE");
});

test("when another key answers than the pinned one, not one byte is sent and nothing is kept", async () => {
	const { console, dataDir } = await newServer();
	const joinString = console.joinString({ pin: "A".repeat(43) });
	await expect(joinConsole({ dataDir, joinString, name: "server-1" })).rejects.toMatchObject({
		code: "forbidden",
		cure: expect.stringContaining("nothing was sent"),
	});
	expect(console.bytesReceived).toBe(0);
	expect(console.requests).toEqual([]);
	expect(await readdir(dataDir)).toEqual([]);
});

test.each([
	"",
	"sterna1:",
	"sterna2:127.0.0.1:3000:x:y",
	`sterna1:127.0.0.1:0:${"A".repeat(43)}:${"B".repeat(43)}`,
	`sterna1:127.0.0.1:99999:${"A".repeat(43)}:${"B".repeat(43)}`,
	`sterna1:127.0.0.1:3000:${"A".repeat(42)}:${"B".repeat(43)}`,
	`sterna1:127.0.0.1:3000:${"A".repeat(43)}:${"B".repeat(43)} --config /etc/shadow`,
	`sterna1:a b:3000:${"A".repeat(43)}:${"B".repeat(43)}`,
	`sterna1:../../etc:3000:${"A".repeat(43)}:${"B".repeat(43)}`,
	"x".repeat(100_000),
])("what is not a join string is refused without repeating it: %.30s", async (joinString) => {
	const dataDir = await testFolder();
	const refusal = joinConsole({ dataDir, joinString, name: "server-1" });
	await expect(refusal).rejects.toMatchObject({ code: "invalid", message: "this is not a join string of Sterna" });
	expect(await readdir(dataDir)).toEqual([]);
});

test("a join token that was used is refused with the console's reason and cure", async () => {
	const { console, dataDir } = await newServer();
	const joinString = console.joinString();
	await joinConsole({ dataDir, joinString, name: "server-1" });
	const second = await testFolder();
	await expect(joinConsole({ dataDir: second, joinString, name: "server-2" })).rejects.toMatchObject({
		code: "forbidden",
		message: "this join token was used already",
		cure: "take a new join string",
	});
	expect(await readIdentity(second)).toBeNull();
});

test("a server that has joined does not join again, and the token stays unused", async () => {
	const { console, dataDir } = await newServer();
	await joinConsole({ dataDir, joinString: console.joinString(), name: "server-1" });
	const before = await readFile(join(dataDir, "identity.json"), "utf8");
	const joinString = console.joinString();
	await expect(joinConsole({ dataDir, joinString, name: "server-1" })).rejects.toMatchObject({ code: "conflict" });
	expect(await readFile(join(dataDir, "identity.json"), "utf8")).toBe(before);
	await expect(joinConsole({ dataDir: await testFolder(), joinString, name: "server-2" })).resolves.toBeDefined();
});

test("a console that is not there is named with its address", async () => {
	const { console, dataDir } = await newServer();
	const joinString = console.joinString();
	await console.close();
	await expect(joinConsole({ dataDir, joinString, name: "server-1" })).rejects.toMatchObject({
		code: "unavailable",
		message: expect.stringContaining(`127.0.0.1:${console.port}`),
	});
});

test("a certificate for another key, another host or of another authority is not taken", async () => {
	const { console } = await newServer();
	const other = await testConsole();
	const host = await console.host();
	const identity = {
		hostId: host.hostId,
		name: "server-1",
		console: { address: "127.0.0.1", port: 1 },
		privateKey: host.key,
		certificate: host.cert,
		authority: host.ca,
	};
	const foreignKey = generateKeyPairSync("ec", { namedCurve: "P-256" })
		.privateKey.export({ type: "pkcs8", format: "pem" })
		.toString();
	expect(() => checkIdentity({ ...identity, privateKey: foreignKey })).toThrow("another key");
	expect(() => checkIdentity({ ...identity, hostId: newId(HostId) })).toThrow("another host");
	expect(() => checkIdentity({ ...identity, authority: other.authorityPem })).toThrow("did not sign");
	expect(checkIdentity(identity)).toBe(identity);
});

test("a certificate is renewed under a new key for the same host after two thirds of its life", async () => {
	const { console, dataDir } = await newServer();
	const identity = await joinConsole({ dataDir, joinString: console.joinString(), name: "server-1" });
	const dueAt = renewalDueAt(identity.certificate);
	const look = (now: number) => {
		const ended = new AbortController();
		return new Promise<string>((resolve) => {
			keepRenewed({
				dataDir,
				clock: { now: () => now },
				log: silent,
				current: () => identity,
				onRenewed: (renewed) => {
					ended.abort();
					resolve(renewed.privateKey);
				},
				signal: ended.signal,
			});
			if (now < dueAt) {
				ended.abort();
				resolve("not due");
			}
		});
	};
	expect(await look(dueAt - 1000)).toBe("not due");
	expect(console.requests.map(({ path }) => path)).toEqual(["/join"]);
	const renewedKey = await look(dueAt + 1000);
	expect(renewedKey).not.toBe(identity.privateKey);
	expect(await readIdentity(dataDir)).toMatchObject({ hostId: identity.hostId, privateKey: renewedKey });
});

test("the certificate of a revoked host is not renewed and stays as it is", async () => {
	const { console, dataDir } = await newServer();
	const identity = await joinConsole({ dataDir, joinString: console.joinString(), name: "server-1" });
	console.revoked.add(identity.hostId);
	await expect(renewIdentity(dataDir, identity)).rejects.toMatchObject({ code: "unauthenticated" });
	expect(await readIdentity(dataDir)).toEqual(identity);
});
