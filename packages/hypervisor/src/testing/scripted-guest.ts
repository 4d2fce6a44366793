import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { onTestFinished } from "vitest";
import { type QemuGuest, qemuGuest } from "../qemu/guest.ts";
import { guestPaths } from "../qemu/paths.ts";
import { QmpClient } from "../qmp/client.ts";
import { negotiated, ScriptedMonitor, type Step } from "../qmp/transcript.ts";

/** A guest without a process, whose monitor plays a script. `incoming`: the target of a move that was not released. */
export async function scriptedGuest({ incoming }: { incoming: boolean }, ...script: Step[]): Promise<QemuGuest> {
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
		record: { ...record, moving: null, sources: [], incoming, ending: null },
		monitor: client,
	});
}
