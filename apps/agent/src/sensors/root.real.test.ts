import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sendCanary } from "./filesystem.ts";
import { createSensorRoot } from "./root.ts";

describe("the root of the sensors", () => {
	let folder = "";
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), "sterna-root-"));
	});
	afterEach(() => rm(folder, { recursive: true }));

	const write = async (path: string, text: string) => {
		await mkdir(join(folder, path, ".."), { recursive: true });
		await writeFile(join(folder, path), text);
	};

	it("reads below its folder only, and calls what is missing unknown", async () => {
		await write("/sys/a/mc2/x", "1");
		await write("/sys/a/mc10/x", "2");
		const root = createSensorRoot(folder);
		expect(await root.list("/sys/a")).toEqual(["mc2", "mc10"]);
		expect(await root.readText("/sys/a/mc10/x")).toBe("2");
		expect(await root.exists("/sys/a/mc2")).toBe(true);
		expect(await root.readText("/etc/os-release")).toBeNull();
		expect(await root.readText("/sys/a")).toBeNull();
		expect(await root.list("/etc")).toBeNull();
	});

	it("reads files of the kernel, which claim to be empty", async () => {
		expect(await createSensorRoot().readText("/proc/self/mountinfo")).toMatch(/ \/ /);
	});

	it("plays recordings of tools, with their exit codes and silences", async () => {
		await write("/run/tools/smartctl/sda", '{"a":1}');
		await write("/run/tools/smartctl/sdb", "{}");
		await write("/run/tools/smartctl/sdb.exit", "24\n");
		await write("/run/tools/smartctl/sdc.exit", "hang");
		const root = createSensorRoot(folder);
		const run = (subject: string) => root.runTool("smartctl", [], { subject, timeoutMs: 700 });
		expect(await run("sda")).toMatchObject({ status: "finished", exitCode: 0, stdout: '{"a":1}' });
		expect(await run("sdb")).toMatchObject({ status: "finished", exitCode: 24 });
		expect(await run("sdc")).toEqual({ status: "hung", forMs: 700 });
		expect(await run("sdd")).toEqual({ status: "missing" });
		expect(await run("../smartctl/sda")).toEqual({ status: "missing" });
	});

	it("runs real tools, tells missing ones, and ends those that take too long with their children", async () => {
		const root = createSensorRoot();
		const echo = await root.runTool("sh", ["-c", "echo out; echo err >&2; exit 3"], {
			subject: "a",
			timeoutMs: 10_000,
		});
		expect(echo).toEqual({ status: "finished", exitCode: 3, stdout: "out\n", stderr: "err\n" });
		expect(await root.runTool("sterna-no-such-tool", [], { subject: "a", timeoutMs: 10_000 })).toEqual({
			status: "missing",
		});
		const pidFile = join(folder, "pid");
		const slow = await root.runTool("sh", ["-c", 'sleep 1000 & echo $! >"$1"; wait', "sh", pidFile], {
			subject: "b",
			timeoutMs: 500,
		});
		expect(slow).toEqual({ status: "hung", forMs: 500 });
		const pid = (await createSensorRoot().readText(pidFile))?.trim();
		await expect.poll(async () => (await root.readText(`/proc/${pid}/stat`))?.split(" ")[2] ?? "Z").toBe("Z");
	});

	it("asks a subject once while an earlier question is open", async () => {
		const root = createSensorRoot();
		const marker = join(folder, "go");
		const wait = ["-c", 'until [ -e "$1" ]; do sleep 0.02; done', "sh", marker];
		const first = root.runTool("sh", wait, { subject: "a", timeoutMs: 20_000 });
		expect(await root.runTool("sh", wait, { subject: "a", timeoutMs: 20_000 })).toMatchObject({ status: "hung" });
		await writeFile(marker, "");
		expect(await first).toMatchObject({ status: "finished", exitCode: 0 });
		expect(await root.runTool("sh", wait, { subject: "a", timeoutMs: 20_000 })).toMatchObject({ status: "finished" });
	});

	it("follows a growing log by whole lines and begins anew when it was emptied", async () => {
		await write("/dev/kmsg", "one\ntwo\nthr");
		const log = await createSensorRoot(folder).followLog("/dev/kmsg");
		expect(await log?.readNew()).toEqual(["one", "two"]);
		expect(await log?.readNew()).toEqual([]);
		await appendFile(join(folder, "dev/kmsg"), "ee\n");
		expect(await log?.readNew()).toEqual(["three"]);
		await writeFile(join(folder, "dev/kmsg"), "new\n");
		expect(await log?.readNew()).toEqual(["new"]);
		await log?.close();
		expect(await createSensorRoot(folder).followLog("/dev/none")).toBeNull();
	});

	it("writes a canary to a pool and reads it back, and says why it could not", async () => {
		const root = createSensorRoot();
		expect(await sendCanary(root, { name: "main", path: folder })).toBe("ok");
		const gone = await sendCanary(root, { name: "main", path: join(folder, "gone") });
		expect(gone).toMatchObject({ missed: expect.stringMatching(/nonexistent|No such file/) });
	});
});
