import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";

/** One program that the demo started and will end. */
export interface Running {
	child: ChildProcess;
	logPath: string;
	/** Resolves when the process is gone. */
	ended: Promise<void>;
}

export interface StartOptions {
	command: string[];
	logPath: string;
	env?: Record<string, string>;
	cwd?: string;
}

/** Starts a program in a session of its own, so that Ctrl-C reaches the demo alone, which then ends things in order. */
export function startProcess({ command, logPath, env, cwd }: StartOptions): Running {
	const [program = "", ...args] = command;
	const log = openSync(logPath, "a", 0o600);
	const child = spawn(program, args, {
		cwd,
		detached: true,
		env: { ...process.env, ...env },
		stdio: ["ignore", log, log],
	});
	closeSync(log);
	const ended = new Promise<void>((resolve) => {
		child.once("exit", () => resolve());
		child.once("error", () => resolve());
	});
	return { child, logPath, ended };
}

/** Asks a program to end, and kills it when it has not within `patienceMs`. */
export async function stopProcess(running: Running, patienceMs: number): Promise<void> {
	if (running.child.exitCode !== null || running.child.signalCode !== null) return;
	running.child.kill("SIGTERM");
	const killer = setTimeout(() => running.child.kill("SIGKILL"), patienceMs);
	await running.ended;
	clearTimeout(killer);
}

/**
 * Ends the QEMU processes whose command line names a path below `folder`. Guests outlive their agents, so this is how the
 * demo, which made the folder, ends the guests that it started and no others.
 */
export async function killGuestsBelow(folder: string): Promise<number> {
	const pids = readdirSync("/proc")
		.map(Number)
		.filter((pid) => pid > 0 && isGuestBelow(pid, folder));
	for (const pid of pids) {
		try {
			process.kill(pid, "SIGKILL");
		} catch {
			// it ended by itself in between
		}
	}
	while (pids.some((pid) => isGuestBelow(pid, folder))) await new Promise((resolve) => setTimeout(resolve, 20));
	return pids.length;
}

function isGuestBelow(pid: number, folder: string): boolean {
	try {
		const [program = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
		return /qemu-system/.test(program) && args.some((arg) => arg.includes(`${folder}/`));
	} catch {
		return false;
	}
}

/** The last lines of a log, for an error that must say why something did not start. */
export function tail(logPath: string, lines = 15): string {
	try {
		return readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
	} catch {
		return "(no log)";
	}
}
