import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { open, readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
	pid: number;
	/** Field 22 of /proc/pid/stat (proc(5)): clock ticks from the boot to the start of the process. */
	startTicks: number;
}

export interface Spawned extends ProcessIdentity {
	/** How it ended, told once; only the life of the driver that started it gets to know. */
	ended: Promise<string>;
}

/**
 * Starts a process that outlives this one: a session of its own, and a scope of its own where systemd would otherwise
 * end it together with the agent's unit (systemd.kill(5), KillMode=control-group).
 * @throws {SternaError} `unavailable` when it cannot be started.
 */
export async function startDetached(command: readonly string[], logPath: string, guestId: GuestId): Promise<Spawned> {
	const [program = "", ...args] = (await isSystemdInCharge()) ? [...scope(guestId), ...command] : command;
	const log = await open(logPath, "a", 0o600);
	try {
		const child = spawn(program, args, { detached: true, stdio: ["ignore", log.fd, log.fd], cwd: "/" });
		const started = Promise.withResolvers<void>();
		const ended = Promise.withResolvers<string>();
		child.once("spawn", started.resolve);
		child.once("error", started.reject);
		child.once("exit", (code, signal) => ended.resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
		child.unref();
		await started.promise.catch((cause: unknown) => {
			throw new SternaError("unavailable", `${program} cannot be started`, { cause });
		});
		const pid = child.pid ?? 0;
		const startTicks = await readStartTicks(pid).catch((error: unknown) => {
			// What cannot be known again must not run on.
			child.kill("SIGKILL");
			throw error;
		});
		return { pid, startTicks: startTicks ?? 0, ended: ended.promise };
	} finally {
		await log.close();
	}
}

/** Every process whose arguments name `socketPath`: a guest's QEMU, also before it has become QEMU. */
export async function findBySocket(socketPaths: readonly string[]): Promise<Map<string, ProcessIdentity>> {
	const found = new Map<string, ProcessIdentity>();
	for (const pid of await allPids()) {
		const commandLine = await readCommandLine(pid);
		if (!commandLine.includes("qemu-system")) continue;
		const path = socketPaths.find((candidate) => commandLine.includes(`path=${candidate},`));
		const startTicks = path === undefined ? null : await readStartTicks(pid);
		if (path !== undefined && startTicks !== null) found.set(path, { pid, startTicks });
	}
	return found;
}

/** The process of `program` that has `text` among its arguments; null when there is none. */
export async function findByArgument(program: string, text: string): Promise<ProcessIdentity | null> {
	for (const pid of await allPids()) {
		const commandLine = await readCommandLine(pid);
		if (!commandLine.includes(program) || !commandLine.includes(text)) continue;
		const startTicks = await readStartTicks(pid);
		if (startTicks !== null) return { pid, startTicks };
	}
	return null;
}

/**
 * True while this very process is there and not only waits to be reaped. One that cannot be looked at counts as there:
 * what follows from an end (taps, sockets, volumes that go) must not befall a guest that runs.
 */
export async function isAlive({ pid, startTicks }: ProcessIdentity): Promise<boolean> {
	return readStartTicks(pid).then(
		(ticks) => ticks === startTicks,
		() => true,
	);
}

/** Kills this very process and waits until it is gone. @throws {SternaError} `timeout` when the kernel does not let it go (a hung disk). */
export async function killProcess(identity: ProcessIdentity, deadlineMs = 10_000): Promise<void> {
	if (!(await isAlive(identity))) return;
	try {
		process.kill(identity.pid, "SIGKILL");
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
	}
	if (await waitUntilGone(identity, deadlineMs)) return;
	throw new SternaError("timeout", `process ${identity.pid} was killed but is still there after ${deadlineMs} ms`, {
		cure: "its disk or filesystem probably hangs; see what the kernel log says",
	});
}

/**
 * Tells this very process to end, as QEMU's programs do after they have closed their files in order, and kills it when it
 * has not by then. False when it had to be killed. @throws {SternaError} as `killProcess`
 */
export async function endInOrder(identity: ProcessIdentity, patienceMs: number): Promise<boolean> {
	if (!(await isAlive(identity))) return true;
	try {
		process.kill(identity.pid, "SIGTERM");
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
	}
	if (await waitUntilGone(identity, patienceMs)) return true;
	await killProcess(identity);
	return false;
}

/** False when the process is still there at the deadline. */
export async function waitUntilGone(identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
	const deadline = Date.now() + deadlineMs;
	while (await isAlive(identity)) {
		if (Date.now() > deadline) return false;
		await delay(10);
	}
	return true;
}

/** CPU time and resident memory (proc(5), /proc/pid/stat fields 14, 15, 24); null when the process is gone. */
export async function readUsage(
	identity: ProcessIdentity,
): Promise<{ cpuTimeMs: number; residentBytes: number } | null> {
	const fields = await readStat(identity.pid);
	if (fields === null || Number(fields[19]) !== identity.startTicks) return null;
	// Pages are 4 KiB on every x86-64 Linux.
	return { cpuTimeMs: cpuTimeMsIn(fields), residentBytes: Number(fields[21]) * 4096 };
}

/** CPU time that a child of ours has used; null when it has ended. @throws when it cannot be looked at. */
export async function readCpuTimeMs(childPid: number): Promise<number | null> {
	const fields = await readStat(childPid);
	return fields === null ? null : cpuTimeMsIn(fields);
}

/** Clock ticks of user space are 10 ms on every x86-64 Linux. */
function cpuTimeMsIn(stat: readonly string[]): number {
	return (Number(stat[11]) + Number(stat[12])) * 10;
}

/** Null when there is no such process. @throws when it cannot be looked at: no more files can be opened. */
export async function readStartTicks(pid: number): Promise<number | null> {
	const fields = await readStat(pid);
	return fields === null ? null : Number(fields[19]);
}

async function allPids(): Promise<number[]> {
	return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** The fields of /proc/pid/stat from the third (state) on; null when gone or a zombie. */
async function readStat(pid: number): Promise<string[] | null> {
	const text = await readOfProcess(pid, "stat");
	if (text === null) return null;
	// The second field is the program's name in parentheses, and may have any character in it.
	const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
	return fields[0] === "Z" || fields[0] === "X" ? null : fields;
}

async function readCommandLine(pid: number): Promise<string> {
	return ((await readOfProcess(pid, "cmdline")) ?? "").replaceAll("\0", " ");
}

/** What of /proc/pid cannot be read because it is gone (ESRCH: meanwhile), or hidden because it is another user's. */
const notThere = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"]);

/** A file of /proc/pid; null when there is no such process of ours. */
async function readOfProcess(pid: number, name: "stat" | "cmdline"): Promise<string | null> {
	try {
		return await readFile(`/proc/${pid}/${name}`, "utf8");
	} catch (error) {
		if (error instanceof Error && "code" in error && notThere.has(String(error.code))) return null;
		throw error;
	}
}

async function isSystemdInCharge(): Promise<boolean> {
	const init = await readFile("/proc/1/comm", "utf8").catch(() => "");
	return init.trim() === "systemd" && process.getuid?.() === 0;
}

function scope(guestId: GuestId): string[] {
	const unit = `sterna-guest-${guestId}-${randomBytes(4).toString("hex")}`;
	return ["systemd-run", "--scope", "--quiet", "--collect", `--unit=${unit}`, "--"];
}
