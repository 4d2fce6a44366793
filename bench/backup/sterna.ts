import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { SavingHost, until } from "@sterna/agent/backups/testing/saving-host";
import { type BackupReport, endedTaskStates, type RepositoryAccess } from "@sterna/shared/backup";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, RestoreId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import type { GuestImage } from "../../demo/guest/build.ts";
import { guestCommandLine } from "../../demo/guest/command-line.ts";
import { run } from "../../scripts/system/run.ts";
import { mustBeSame } from "./archivers.ts";
import type { Contestant, Step } from "./contestant.ts";
import { changedPieces, dataBytes, diskBytes, pieceBytes } from "./disk.ts";
import { bytesBelow, cpuOf, findProcess, round } from "./measure.ts";

const runMs = 600_000;

/**
 * Sterna as it is used: a running guest, the agent in a process of its own, its driver's snapshot, NBD, and a repository in
 * a folder. What a run and a restore took is what their reports say; CPU is the agent's, and the guest's QEMU's apart.
 */
export async function sterna(image: GuestImage, base: string): Promise<Contestant> {
	const host = await SavingHost.open(["backups"]);
	const images = join(host.dataDir, "images");
	await copyFile(image.kernel, join(images, "bench.vmlinuz"));
	await copyFile(image.initrd, join(images, "bench.initrd"));
	await run("cp", ["--sparse=always", "--reflink=auto", base, join(images, "bench.raw")]);
	// The agent reads new images once; that is no part of a backup.
	await until(
		"the image to be known",
		async () => (await readFile(join(host.dataDir, "images.json"), "utf8").catch(() => "")).includes("bench.raw"),
		runMs,
	);
	let number = 0;
	return {
		name: "sterna",
		about: "from the running guest, zstd level 2, AES-256-GCM, keyed names",
		async round({ folder }) {
			const name = `round-${++number}`;
			const spec = await startGuest(host, name);
			try {
				const { access, place } = await newRepository(host);
				const full = await save(host, spec, access, place);
				await scatter(host, spec);
				const incremental = await save(host, spec, access, place);
				await host.call("guest.powerOff", { guestId: spec.id, epoch: 1 });
				const restore = await bringBack(host, spec, access, incremental.pointId, folder);
				return { full: full.step, incremental: incremental.step, restore };
			} finally {
				// Best effort: what failed is told, and the host goes as a whole.
				await discard(host, spec).catch(() => {});
			}
		},
		close: () => host.close(),
	};
}

async function newRepository(host: SavingHost): Promise<{ access: RepositoryAccess; place: string }> {
	const place = join(host.folder, "backups");
	await run("find", [place, "-mindepth", "1", "-delete"]);
	return { access: await host.newRepository("backups"), place };
}

async function startGuest(host: SavingHost, name: string): Promise<GuestSpec> {
	const spec = GuestSpec.parse({
		id: newId(GuestId),
		name,
		vcpus: 1,
		memoryBytes: 128 * MiB,
		boot: {
			from: "kernel",
			kernel: "bench.vmlinuz",
			initrd: "bench.initrd",
			commandLine: guestCommandLine({ name, load: "idle" }),
		},
		volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: diskBytes, fromImage: "bench.raw" }],
		nics: [],
	});
	await host.call("guest.create", { spec, epoch: 1 });
	await host.call("guest.start", { guestId: spec.id, epoch: 1 });
	await heard(host, spec, /heartbeat seq/);
	return spec;
}

async function discard(host: SavingHost, spec: GuestSpec): Promise<void> {
	await host.call("guest.powerOff", { guestId: spec.id, epoch: 1 });
	await host.call("guest.delete", { guestId: spec.id, epoch: 1 });
}

/** One run, however long it takes. */
export async function backUp(
	host: SavingHost,
	access: RepositoryAccess,
	spec: GuestSpec,
	options: Parameters<SavingHost["begin"]>[2] = {},
): Promise<BackupReport> {
	const pointId = await host.begin(access, spec, options);
	return until(
		"the backup to end",
		async () => {
			const report = await host.report(pointId);
			return report && endedTaskStates.includes(report.state) ? report : null;
		},
		runMs,
	);
}

async function save(host: SavingHost, spec: GuestSpec, access: RepositoryAccess, place: string) {
	const pids = [host.pid, findProcess(spec.id)] as const;
	const stored = await bytesBelow(place);
	const [agentS, qemuS] = pids.map(cpuOf);
	const report = await backUp(host, access, spec);
	if (report.state !== "completed") throw new Error(`the backup ended ${report.state}: ${report.error?.message}`);
	const [agentCpuS, qemuCpuS] = [cpuOf(pids[0]) - (agentS ?? 0), cpuOf(pids[1]) - (qemuS ?? 0)];
	const step: Step = {
		wallS: ((report.endedAt ?? 0) - report.startedAt) / 1000,
		cpuS: round(agentCpuS + qemuCpuS),
		qemuCpuS: round(qemuCpuS),
		storedBytes: (await bytesBelow(place)) - stored,
	};
	return { pointId: report.pointId, step };
}

/** Into the volume of a guest that is made for it, which is not started. */
async function bringBack(
	host: SavingHost,
	spec: GuestSpec,
	access: RepositoryAccess,
	pointId: Awaited<ReturnType<typeof save>>["pointId"],
	folder: string,
): Promise<Step> {
	const [from] = spec.volumes;
	if (!from) throw new Error("the guest has no volume");
	const to = { id: newId(VolumeId), pool: from.pool, sizeBytes: from.sizeBytes };
	const restored = GuestSpec.parse({ ...spec, id: newId(GuestId), name: `${spec.name}-back`, volumes: [to] });
	const restoreId = newId(RestoreId);
	const agentS = cpuOf(host.pid);
	await host.call("restore.start", {
		access,
		restoreId,
		mode: "copy",
		pointId,
		spec: restored,
		epoch: 1,
		volumes: [{ from: from.id, to: to.id }],
		check: null,
		start: false,
	});
	const report = await until(
		"the restore to end",
		async () => {
			const { restores } = await host.call("host.snapshot", {});
			const found = restores.find((one) => one.restoreId === restoreId);
			return found && endedTaskStates.includes(found.state) ? found : null;
		},
		runMs,
	);
	if (report.state !== "completed") throw new Error(`the restore ended ${report.state}: ${report.error?.message}`);
	const step = {
		wallS: ((report.endedAt ?? 0) - report.startedAt) / 1000,
		cpuS: round(cpuOf(host.pid) - agentS),
		storedBytes: null,
	};
	const [saved, back] = [join(folder, "saved.raw"), join(folder, "back.raw")];
	await run(host.qemuImg, ["convert", "-f", "qcow2", "-O", "raw", host.volumePath(spec), saved]);
	await run(host.qemuImg, ["convert", "-f", "qcow2", "-O", "raw", host.volumePath(restored), back]);
	await mustBeSame(saved, back);
	await discard(host, restored);
	return step;
}

/** Has the guest itself change 5 % of its data, so that QEMU tracks it. */
async function scatter(host: SavingHost, spec: GuestSpec): Promise<void> {
	for (const line of ["\n", `scatter ${changedPieces} ${dataBytes / pieceBytes}\n`]) {
		await host.call("guest.serialInput", { guestId: spec.id, data: Buffer.from(line).toString("base64") });
		await heard(host, spec, line === "\n" ? /# / : new RegExp(`scatter: ${changedPieces} blocks`));
	}
}

async function heard(host: SavingHost, spec: GuestSpec, pattern: RegExp): Promise<void> {
	const log = join(host.dataDir, "run", spec.id, "serial.log");
	await until(
		`${pattern} on the serial line`,
		async () => pattern.test(await readFile(log, "utf8").catch(() => "")),
		120_000,
	);
}
