import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { expect, onTestFinished, test } from "vitest";
import { QmpClient } from "../qmp/client.ts";
import { event, negotiated, ScriptedMonitor, type Step } from "../qmp/transcript.ts";
import { type QemuGuest, qemuGuest } from "./guest.ts";
import { guestPaths } from "./paths.ts";
import { release } from "./target.ts";

const held = { running: false, status: "paused" };
const loaded: Step[] = [
	{ hear: "query-migrate", answer: { status: "completed" } },
	{ hear: "query-status", answer: held },
];

/** A target that was not released, whose monitor plays a script. */
async function target(...script: Step[]): Promise<QemuGuest> {
	const id = newId(GuestId);
	const folder = await mkdtemp(join(tmpdir(), "tg-"));
	onTestFinished(() => rm(folder, { recursive: true, force: true }));
	const paths = guestPaths(folder, id);
	await mkdir(paths.socketFolder, { recursive: true });
	const monitor = await ScriptedMonitor.play(paths.qmp, [...negotiated, ...script]);
	onTestFinished(() => monitor.close());
	const client = await QmpClient.connect(paths.qmp, { owner: "guest web-1" });
	onTestFinished(() => client.close());
	const spec = GuestSpec.parse({
		id,
		name: "web-1",
		vcpus: 1,
		memoryBytes: 64 * MiB,
		boot: { from: "kernel", kernel: "vmlinuz", commandLine: "" },
		volumes: [],
		nics: [],
	});
	const record = { spec, machine: "pc-q35-10.0", accelerator: "tcg" as const, uid: null, volumes: [], taps: [] };
	return qemuGuest({
		id,
		paths,
		process: { pid: 1, startTicks: 1 },
		exit: null,
		gone: new Promise(() => undefined),
		record: { ...record, incoming: true, ending: null },
		monitor: client,
	});
}

test("a release that could not be written down is written by the next one", async () => {
	const guest = await target(
		{ hear: "query-status", answer: held },
		...loaded,
		{ hear: "nbd-server-stop", answer: {} },
		{ hear: "cont", answer: {} },
		event("RESUME"),
		{ hear: "query-status", answer: { running: true, status: "running" } },
	);
	await mkdir(`${guest.paths.record}.new`);
	await expect(release(guest)).rejects.toThrow("EISDIR");
	await rm(`${guest.paths.record}.new`, { recursive: true });
	await writeFile(guest.paths.record, "");
	await release(guest);
	expect(JSON.parse(await readFile(guest.paths.record, "utf8"))).toMatchObject({ incoming: false });
});
