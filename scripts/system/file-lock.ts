import { spawn } from "node:child_process";
import { once } from "node:events";

/**
 * Runs `work` while no other process holds the lock on `path`; waits for the others first.
 *
 * The lock belongs to a child that lives as long as our end of its pipe, so the kernel releases it however this
 * process ends: no stale lock is ever left behind. Throws when the lock file cannot be opened.
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
	const holder = spawn("flock", [path, "sh", "-c", "echo locked; exec cat >/dev/null"], {
		stdio: ["pipe", "pipe", "ignore"],
	});
	const ended = once(holder, "close");
	const first = await Promise.race([once(holder.stdout, "data").then(() => "locked" as const), ended]);
	if (first !== "locked") throw new Error(`cannot take the lock ${path}: check that its folder exists and is writable`);
	try {
		return await work();
	} finally {
		holder.stdin.end();
		await ended;
	}
}
