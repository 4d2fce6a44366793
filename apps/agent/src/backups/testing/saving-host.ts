import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { writeCounterImage } from "@sterna/hypervisor/testing/counter-image";
import { openRepository } from "@sterna/repository/open";
import { openDirectory } from "@sterna/repository/storage/directory";
import { type BackupReport, endedTaskStates, type RepositoryAccess, type RestoreReport } from "@sterna/shared/backup";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, type HostId, newId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import type { CallName, Input, Output } from "@sterna/shared/protocol/commands";
import type { Endpoint } from "@sterna/shared/protocol/rpc";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { MiB } from "@sterna/shared/units";
import { ensureQemu, probeMemory } from "../../../../../scripts/system/qemu.ts";
import type { AgentConfigInput } from "../../config.ts";
import { killIfThere } from "../../fixtures/kill-if-there.ts";
import { TestConsole } from "../../fixtures/test-console.ts";
import { joinConsole } from "../../identity/join.ts";

/** Long for a busy machine; when all is well nobody waits for it. */
const settleTimeoutMs = 60_000;

/** One server with an agent that can be killed, a console, and folders for repositories beside it. */
export class SavingHost {
	readonly folder: string;
	readonly dataDir: string;
	readonly qemuImg: string;
	readonly #console: TestConsole;
	#hostId: HostId | null = null;
	#process: ChildProcess | null = null;
	#endpoint: Endpoint | null = null;

	private constructor(options: { folder: string; console: TestConsole; qemuImg: string }) {
		this.folder = options.folder;
		this.dataDir = join(options.folder, "d");
		this.qemuImg = options.qemuImg;
		this.#console = options.console;
	}

	/** The agent serves; its image folder has `counter.raw`: a counting guest on a disk with 12 MiB of random data. */
	static async open(repositories: readonly string[], more: AgentConfigInput = {}): Promise<SavingHost> {
		const qemu = await ensureQemu(() => {});
		const folder = await mkdtemp(join(tmpdir(), "sv-"));
		// Guests run as users of their own and must get to their files.
		chmodSync(folder, 0o711);
		const console = await TestConsole.start();
		const host = new SavingHost({ folder, console, qemuImg: qemu.img });
		await mkdir(join(host.dataDir, "images"), { recursive: true, mode: 0o711 });
		const image = join(host.dataDir, "images", "counter.raw");
		await writeCounterImage(image);
		await writeFile(image, randomBytes(12 * MiB), { flag: "a" });
		for (const name of repositories) await mkdir(join(folder, name));
		const config: AgentConfigInput = {
			peerPort: 0,
			listenAddress: "127.0.0.1",
			qemuSystem: qemu.system,
			qemuImg: qemu.img,
			probeMemory,
			repositories: repositories.map((name) => ({ name, path: join(folder, name) })),
			...more,
		};
		await writeFile(join(host.dataDir, "config.json"), JSON.stringify(config));
		host.#hostId = (
			await joinConsole({ dataDir: host.dataDir, joinString: console.joinString(), name: "server" })
		).hostId;
		await host.start();
		return host;
	}

	/** `dieAt`: the line of a journal with which the agent kills itself. */
	async start(dieAt?: string): Promise<void> {
		const before = this.#endpoint;
		const child = fork(join(import.meta.dirname, "agent-process.ts"), [this.dataDir, ...(dieAt ? [dieAt] : [])], {
			execArgv: [],
			// Half of an agent's start is to read its sources: from the second one on that is done.
			env: { ...process.env, NODE_COMPILE_CACHE: join(this.folder, "compiled") },
			stdio: ["ignore", "ignore", "pipe", "ipc"],
		});
		this.#process = child;
		let said = "";
		child.stderr?.on("data", (chunk: Buffer) => {
			said += chunk.toString();
		});
		const ended = once(child, "exit").then(() => {
			throw new Error(`the agent ended: ${said}`);
		});
		await Promise.race([once(child, "message"), ended]);
		ended.catch(() => {});
		const { endpoint } = await this.#console.connection(
			(one) => one.hostId === this.#hostId && one.endpoint !== before,
		);
		this.#endpoint = endpoint;
	}

	/** Of the agent's process. */
	get pid(): number {
		const pid = this.#process?.pid;
		if (pid === undefined) throw new Error("the agent does not run");
		return pid;
	}

	/** Fulfilled when the agent has killed itself, as `start` was told. */
	async died(): Promise<void> {
		const child = this.#process;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		await once(child, "exit", { signal: AbortSignal.timeout(settleTimeoutMs) });
	}

	async kill(): Promise<void> {
		this.#process?.kill("SIGKILL");
		await this.died();
	}

	async close(): Promise<void> {
		const { guests } = await this.call("host.snapshot", {}).catch(() => ({ guests: [] }));
		for (const { guestId, epoch } of guests) await this.call("guest.powerOff", { guestId, epoch }).catch(() => {});
		await this.kill();
		// Also when the agent is gone: guests outlive it.
		for (const pid of await this.#guestProcesses()) killIfThere(pid);
		await this.#console.close();
		await rm(this.folder, { recursive: true, force: true });
	}

	/** Programs that this host's agent has started: their arguments name its folder. */
	async #guestProcesses(): Promise<number[]> {
		const found: number[] = [];
		for (const name of await readdir("/proc")) {
			if (!/^\d+$/.test(name)) continue;
			const words = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
			if (words.includes("qemu") && words.includes(`${this.dataDir}/`)) found.push(Number(name));
		}
		return found;
	}

	/** Calls the agent as its console does. */
	call<Name extends CallName>(command: Name, input: Input<Name>): Promise<Output<Name>> {
		if (!this.#endpoint) throw new Error("the agent is not connected");
		return this.#endpoint.call(command, input, { timeoutMs: 60_000 });
	}

	/** Makes a repository in one of the folders. */
	async newRepository(name: string): Promise<RepositoryAccess> {
		const key = await formatRepositoryKey(new Uint8Array(randomBytes(32)));
		const access: RepositoryAccess = { repositoryId: newId(RepositoryId), place: { kind: "directory", name }, key };
		await this.call("repository.create", { access });
		return access;
	}

	/** A counting guest that runs. */
	async newGuest(): Promise<GuestSpec> {
		const id = newId(GuestId);
		const spec = GuestSpec.parse({
			id,
			name: `count-${id.slice(0, 8)}`,
			vcpus: 1,
			memoryBytes: 48 * MiB,
			boot: { from: "disk" },
			volumes: [{ id: newId(VolumeId), pool: "local", sizeBytes: 32 * MiB, fromImage: "counter.raw" }],
			nics: [],
		});
		await this.call("guest.create", { spec, epoch: 1 });
		await this.call("guest.start", { guestId: id, epoch: 1 });
		return spec;
	}

	/** Begins a run, without freezing the guest's file systems unless told. Rejected when the agent died before it answered. */
	async begin(
		access: RepositoryAccess,
		spec: GuestSpec,
		options: Input<"backup.start">["options"] = {},
	): Promise<PointId> {
		const pointId = newId(PointId);
		// The counting guest has no agent: asking for one takes 2 s.
		const asked = { freeze: false, ...options };
		await this.call("backup.start", { access, pointId, guestId: spec.id, epoch: 1, options: asked });
		return pointId;
	}

	async backup(
		access: RepositoryAccess,
		spec: GuestSpec,
		options: Input<"backup.start">["options"] = {},
	): Promise<BackupReport> {
		return this.ended(await this.begin(access, spec, options));
	}

	async report(pointId: PointId): Promise<BackupReport | undefined> {
		return (await this.call("host.snapshot", {})).backups.find((one) => one.pointId === pointId);
	}

	ended(pointId: PointId): Promise<BackupReport> {
		return until(`the backup ${pointId} to end`, async () => {
			const report = await this.report(pointId);
			return report && endedTaskStates.includes(report.state) ? report : null;
		});
	}

	restoreEnded(restoreId: string): Promise<RestoreReport> {
		return until(`the restore ${restoreId} to end`, async () => {
			const { restores } = await this.call("host.snapshot", {});
			const report = restores.find((one) => one.restoreId === restoreId);
			return report && endedTaskStates.includes(report.state) ? report : null;
		});
	}

	/** What a point holds of the guest's disk, read without the agent. */
	async content(access: RepositoryAccess, pointId: PointId): Promise<Buffer> {
		if (access.place.kind !== "directory") throw new Error("only folders are read by this test");
		const repository = await openRepository(await openDirectory(join(this.folder, access.place.name)), access);
		try {
			const reader = await repository.openPoint(pointId);
			const [volume] = reader.point.volumes;
			if (!volume) throw new Error("the point has no volume");
			const disk = Buffer.alloc(volume.sizeBytes);
			const signal = AbortSignal.timeout(60_000);
			await reader.restore(volume.volumeId, async (offset, data) => void disk.set(data, offset), { signal });
			return disk;
		} finally {
			await repository.close();
		}
	}

	/** How far a guest has counted. @throws when it found its disk other than it left it. */
	async counts(spec: GuestSpec): Promise<number> {
		const log = await readFile(join(this.dataDir, "run", spec.id, "serial.log"), "utf8").catch(() => "");
		if (/^!$/m.test(log)) throw new Error("the guest found its disk other than it left it");
		return [...log.matchAll(/^[0-9a-f]{8}$/gm)].length;
	}

	/** Fulfilled when the guest has counted on from now. */
	async countsOn(spec: GuestSpec): Promise<void> {
		const before = await this.counts(spec);
		await until("the guest to count on", async () => (await this.counts(spec)) > before + 3);
	}

	volumePath(spec: GuestSpec): string {
		return join(this.dataDir, "pools", "local", `${spec.volumes[0]?.id}.qcow2`);
	}

	/** The last lines of the agent's log, for a failed test. */
	async log(lines = 40): Promise<string> {
		const text = await readFile(join(this.dataDir, "agent.log"), "utf8").catch(() => "");
		return text.split("\n").slice(-lines).join("\n");
	}
}

/** Asks again until the answer is there. */
export async function until<Answer>(
	what: string,
	ask: () => Promise<Answer | null | undefined | false>,
	timeoutMs = settleTimeoutMs,
): Promise<Answer> {
	const deadline = Date.now() + timeoutMs;
	for (;;) {
		const answer = await ask();
		if (answer) return answer;
		if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
		await delay(25);
	}
}
