import { spawn } from "node:child_process";

/** What became of a tool. `missing`: not installed. `hung`: past its deadline, and perhaps stuck in the kernel for good. */
export type ToolResult =
	| { status: "finished"; exitCode: number; stdout: string; stderr: string }
	| { status: "missing" }
	| { status: "hung"; forMs: number };

const maxOutputBytes = 4 * 1024 * 1024;

/**
 * Runs a tool in a process group of its own and answers within `timeoutMs`, also when the child cannot be killed because
 * it waits for a dead disk. `onGone` is told when the process has really ended. Output beyond 4 MiB is cut off.
 */
export function runChild(
	command: string,
	args: readonly string[],
	timeoutMs: number,
	onGone: () => void = () => {},
): Promise<ToolResult> {
	return new Promise((resolve) => {
		const child = spawn(command, args, {
			detached: true,
			stdio: ["ignore", "pipe", "pipe"],
			env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
		});
		const stdout = collect(child.stdout);
		const stderr = collect(child.stderr);
		const deadline = setTimeout(() => {
			if (child.pid !== undefined) killGroup(child.pid);
			child.stdout.destroy();
			child.stderr.destroy();
			child.unref();
			resolve({ status: "hung", forMs: timeoutMs });
		}, timeoutMs);
		child.once("exit", onGone);
		child.once("error", () => {
			clearTimeout(deadline);
			onGone();
			resolve({ status: "missing" });
		});
		child.once("close", (exitCode) => {
			clearTimeout(deadline);
			resolve({ status: "finished", exitCode: exitCode ?? 255, stdout: stdout(), stderr: stderr() });
		});
	});
}

function collect(stream: NodeJS.ReadableStream): () => string {
	const parts: Buffer[] = [];
	let length = 0;
	stream.on("data", (part: Buffer) => {
		const room = maxOutputBytes - length;
		if (room <= 0) return;
		parts.push(part.subarray(0, room));
		length += part.length;
	});
	return () => Buffer.concat(parts).toString("utf8");
}

/** Best effort: the group may have ended in between. */
function killGroup(pid: number): void {
	try {
		process.kill(-pid, "SIGKILL");
	} catch {}
}
