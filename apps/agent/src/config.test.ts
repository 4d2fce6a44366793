import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { completeConfig, readConfig } from "./config.ts";
import { testFolder } from "./fixtures/test-agent.ts";

test("without a configuration a server has a local pool and QEMU's own network", async () => {
	const dataDir = await testFolder();
	expect(await readConfig(dataDir)).toMatchObject({
		driver: "qemu",
		qemuSystem: "qemu-system-x86_64",
		pools: [{ name: "local", kind: "local", path: join(dataDir, "pools", "local") }],
		networks: [{ name: "user", user: true }],
		imagesDir: join(dataDir, "images"),
		probeMemory: join(dataDir, "probe.json"),
	});
});

test.each([
	["a path that is not absolute", { pools: [{ name: "a", kind: "local", path: "../pools" }] }],
	["two pools of one name", { pools: ["/a", "/b"].map((path) => ({ name: "a", kind: "local", path })) }],
	["a bridge that is no interface name", { networks: [{ name: "lan", bridge: "br0,script=/bin/sh" }] }],
	["a network that is both", { networks: [{ name: "lan", bridge: "br0", user: true }] }],
	["a setting that does not exist", { pools: [], qemuArguments: ["-monitor"] }],
	["ports that end before they begin", { streamPorts: { from: 2000, to: 1000 } }],
	["a repository inside a storage pool", withRepository("/pools/ssd/backups")],
	["a repository that holds a storage pool", withRepository("/pools")],
	["a repository inside the agent's data folder", withRepository("/data/backups")],
	["a repository that leads into a pool by ..", withRepository("/mnt/../pools/ssd")],
	["two repository folders of one name", { repositories: ["/a", "/b"].map((path) => ({ name: "a", path })) }],
	["a server name that is none", { name: "Server One" }],
])("%s is refused", (_what, input) => {
	expect(() => completeConfig(input, "/data")).toThrow();
});

test("a repository beside the storage pools is taken, also when its name begins like theirs", () => {
	const repositories = [{ name: "nas", path: "/pools/ssd-backups" }];
	expect(completeConfig({ ...withRepository("/pools/ssd-backups") }, "/data")).toMatchObject({ repositories });
});

function withRepository(path: string) {
	return { pools: [{ name: "ssd", kind: "local", path: "/pools/ssd" }], repositories: [{ name: "nas", path }] };
}

test("a configuration that is not JSON is refused with its path", async () => {
	const dataDir = await testFolder();
	await writeFile(join(dataDir, "config.json"), "{ name: server }");
	await expect(readConfig(dataDir)).rejects.toMatchObject({
		code: "invalid",
		message: expect.stringContaining("config.json"),
	});
});
