import { open, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { runChild, type ToolResult } from "./child.ts";
import { followKernelLog, type LogFollower } from "./log-follower.ts";

/**
 * The only way in which sensors touch the machine. A path that cannot be read is `null`: unknown, never zero.
 *
 * With another root than `/`, everything comes from that folder: `/sys/…` is `<root>/sys/…`, the kernel log is the plain
 * growing file `<root>/dev/kmsg`, and tools are recordings: `smartctl` on the subject `sda` answers with the content of
 * `<root>/run/tools/smartctl/sda`, the exit code in `sda.exit` (0 without; the word `hang` lets it run into its deadline).
 */
export interface SensorRoot {
	readText(path: string): Promise<string | null>;
	/** Names in a folder, sorted as people count (`mc2` before `mc10`); null when it cannot be read. */
	list(path: string): Promise<string[] | null>;
	exists(path: string): Promise<boolean>;
	/**
	 * Runs a tool on a subject (a disk, a pool) under a deadline. At most one run per tool and subject: while an earlier
	 * one is still stuck, the answer is `hung` at once, with the time since it began.
	 */
	runTool(name: string, args: readonly string[], options: { subject: string; timeoutMs: number }): Promise<ToolResult>;
	/** Follows the kernel log from its oldest record; null when it cannot be opened. */
	followLog(path: string): Promise<LogFollower | null>;
}

const maxTextBytes = 4 * 1024 * 1024;

export function createSensorRoot(sysroot = "/"): SensorRoot {
	const at = (path: string) => join(sysroot, path);
	const inFlight = new Map<string, number>();
	return {
		readText: (path) => readText(at(path)),
		list: (path) =>
			readdir(at(path)).then(
				(names) => names.sort(collator.compare),
				() => null,
			),
		exists: (path) =>
			stat(at(path)).then(
				() => true,
				() => false,
			),
		async runTool(name, args, { subject, timeoutMs }) {
			if (sysroot !== "/") return playRecording(at(`/run/tools/${name}/${recordingName(subject)}`), timeoutMs);
			const key = `${name} ${subject}`;
			const runningSince = inFlight.get(key);
			if (runningSince !== undefined) return { status: "hung", forMs: Math.round(performance.now() - runningSince) };
			inFlight.set(key, performance.now());
			return runChild(name, args, timeoutMs, () => inFlight.delete(key));
		},
		followLog: (path) => followKernelLog(at(path)),
	};
}

const collator = new Intl.Collator("en", { numeric: true });

async function readText(path: string): Promise<string | null> {
	try {
		const file = await open(path, "r");
		try {
			// Files of /proc and /sys say that they are empty, so their size is no guide.
			const buffer = Buffer.alloc(16 * 1024);
			const parts: Buffer[] = [];
			let length = 0;
			while (length < maxTextBytes) {
				const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
				if (bytesRead === 0) break;
				parts.push(Buffer.from(buffer.subarray(0, bytesRead)));
				length += bytesRead;
			}
			return Buffer.concat(parts).toString("utf8");
		} finally {
			await file.close();
		}
	} catch {
		return null;
	}
}

/** Subjects come from the kernel's device names, where `!` stands for `/`; anything odd becomes `_`. */
function recordingName(subject: string): string {
	return subject.replace(/[^\w.-]/g, "_").replace(/^\.+/, "_");
}

async function playRecording(path: string, timeoutMs: number): Promise<ToolResult> {
	const [stdout, exit] = await Promise.all([readText(path), readFile(`${path}.exit`, "utf8").catch(() => "0")]);
	if (exit.trim() === "hang") return { status: "hung", forMs: timeoutMs };
	if (stdout === null) return { status: "missing" };
	return { status: "finished", exitCode: Number.parseInt(exit, 10) || 0, stdout, stderr: "" };
}
