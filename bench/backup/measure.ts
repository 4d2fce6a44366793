import { readdirSync, readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { CommandError, run } from "../../scripts/system/run.ts";

/** What one step took: time on the wall, and CPU of every process that took part. Seconds. */
export interface Measured {
	wallS: number;
	cpuS: number;
	/** Share of a guest's QEMU in `cpuS`, where one took part. */
	qemuCpuS?: number;
}

const clockTicksPerSecond = 100; // USER_HZ, fixed by the kernel's ABI (proc(5))

/** Runs a program to its end and measures it with all of its children, by the shell's own clock (bash(1), TIMEFORMAT). */
export async function measureCommand(
	program: string,
	args: string[],
	options: { env?: Record<string, string>; cwd?: string } = {},
): Promise<Measured> {
	const script = 'exec 4>&2; TIMEFORMAT="%R %U %S"; { time "$@" >/dev/null 2>&4; } 2>&1';
	const out = await run("bash", ["-c", script, "bench", program, ...args], options);
	const [wallS, userS, systemS] = out.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
	if (wallS === undefined || userS === undefined || systemS === undefined || !Number.isFinite(wallS))
		throw new CommandError(program, 0, out);
	return { wallS, cpuS: round(userS + systemS) };
}

/** CPU that a process and the children it has waited for have used until now, in seconds (proc(5), fields 14 to 17). */
export function cpuOf(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
		.replace(/^.*\) /, "")
		.split(" ");
	return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / clockTicksPerSecond;
}

/** The process whose command line has all of `words`. Throws when there is none. */
export function findProcess(...words: string[]): number {
	for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
		try {
			const commandLine = readFileSync(`/proc/${name}/cmdline`, "utf8");
			if (commandLine.includes("qemu-system") && words.every((word) => commandLine.includes(word))) return Number(name);
		} catch {
			// It has ended meanwhile.
		}
	}
	throw new Error(`no QEMU runs for ${words.join(" ")}`);
}

/** Bytes of all files below a folder, as they are long, not as they are allocated. */
export async function bytesBelow(folder: string): Promise<number> {
	let sum = 0;
	for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
		if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name))).size;
	}
	return sum;
}

export function round(seconds: number): number {
	return Math.round(seconds * 1000) / 1000;
}
