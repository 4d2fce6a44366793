import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

test("an agent that can open no more files takes no guest's process for ended", async () => {
	const socketPath = "/run/few-files/qmp";
	const args = ["-e", "setInterval(() => undefined, 1e6)", "qemu-system", `path=${socketPath},`];
	const qemu = spawn(process.execPath, args, { stdio: "ignore" });
	onTestFinished(() => void qemu.kill("SIGKILL"));
	await once(qemu, "spawn");
	const script = join(import.meta.dirname, "../testing/with-few-files.ts");
	const command = ["-c", 'ulimit -n 64; exec "$@"', "sh", process.execPath, script, String(qemu.pid), socketPath];
	const { stdout } = await promisify(execFile)("/bin/sh", command);
	expect(JSON.parse(stdout)).toEqual({ alive: true, found: "cannot tell" });
});
