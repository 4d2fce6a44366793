import { spawn } from "node:child_process";

/** A program of the system that ended with an error; the message carries the end of what it said. */
export class CommandError extends Error {
	override name = "CommandError";
	readonly exitCode: number | null;

	constructor(command: string, exitCode: number | null, output: string) {
		const tail = output.trim().split("\n").slice(-8).join("\n  ");
		super(`${command} ended with ${exitCode === null ? "a signal" : `code ${exitCode}`}:\n  ${tail}`);
		this.exitCode = exitCode;
	}
}

type RunOptions = { cwd?: string; env?: Record<string, string>; input?: string | Uint8Array };

/**
 * Runs a program to its end and gives back what it wrote to stdout, as bytes.
 * Throws CommandError when it ends with anything but 0 or cannot be started.
 */
export function runBytes(program: string, args: string[], options: RunOptions = {}): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, {
			cwd: options.cwd,
			env: { ...process.env, LC_ALL: "C", ...options.env },
			stdio: ["pipe", "pipe", "pipe"],
		});
		// A program that ends without reading its input is judged by its exit code, not by the broken pipe.
		child.stdin.on("error", () => {});
		child.stdin.end(options.input);
		const out: Buffer[] = [];
		const both: Buffer[] = [];
		child.stdout.on("data", (chunk: Buffer) => {
			out.push(chunk);
			both.push(chunk);
		});
		child.stderr.on("data", (chunk: Buffer) => both.push(chunk));
		child.on("error", (error) => reject(new CommandError(program, null, error.message)));
		child.on("close", (code) => {
			if (code === 0) resolve(Buffer.concat(out));
			else reject(new CommandError([program, ...args.slice(-6)].join(" "), code, Buffer.concat(both).toString()));
		});
	});
}

/** As runBytes, with stdout as text. */
export async function run(program: string, args: string[], options: RunOptions = {}): Promise<string> {
	return (await runBytes(program, args, options)).toString();
}
