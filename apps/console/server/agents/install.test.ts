import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { installScript, joinLines } from "./install.ts";

const pin = Buffer.alloc(32, 0xfb).toString("base64url");

test("the install script is one that sh can read, and does nothing when it arrives by half", () => {
	const script = installScript({ address: "console.example", port: 7443, pin });
	expect(spawnSync("sh", ["-n"], { input: script }).status).toBe(0);
	const half = script.slice(0, script.indexOf("systemctl daemon-reload"));
	const run = spawnSync("sh", ["-s", "--", "sterna1:x"], { input: half, encoding: "utf8" });
	expect(run.stdout).toBe("");
	expect(run.status).not.toBe(0);
});

test("addresses with colons stand in brackets, the pin in base64 as curl reads it", () => {
	const lines = joinLines({ address: "fd00::1", port: 7443, pin, joinString: "sterna1:[fd00::1]:7443:p:s" });
	expect(lines.installLine).toContain("https://[fd00::1]:7443/agent/install.sh");
	expect(lines.installLine).toContain(`sha256//${Buffer.alloc(32, 0xfb).toString("base64")}`);
	expect(lines.installLine).toMatch(/\| sh -s -- sterna1:/);
});
