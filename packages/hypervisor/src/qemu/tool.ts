import { execFile } from "node:child_process";
import { SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";

export interface ToolRun {
	program: string;
	arguments: readonly string[];
	timeoutMs: number;
	/** Ends the program before its time. */
	signal?: AbortSignal;
	/** Completes the sentence "could not …": `make the volume X`. */
	purpose: string;
}

/**
 * Runs a program to its end and gives what it printed. No shell; no input; a fixed locale.
 * @throws {SternaError} `timeout` when it was ended after `timeoutMs`, `cancelled`, `unavailable` when it is not there, `internal` when it fails.
 */
export function runTool(run: ToolRun): Promise<string> {
	const options = {
		timeout: run.timeoutMs,
		killSignal: "SIGKILL",
		maxBuffer: 4 * 1024 * 1024,
		signal: run.signal,
	} as const;
	return new Promise((fulfil, reject) => {
		const child = execFile(
			run.program,
			run.arguments,
			{ ...options, env: { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } },
			(error, stdout, stderr) => {
				if (!error) return fulfil(stdout);
				const said = printable(stderr.trim() || error.message, 1000);
				if (error.code === "ENOENT") {
					return reject(
						new SternaError("unavailable", `could not ${run.purpose}: the program ${run.program} is not installed`),
					);
				}
				if (run.signal?.aborted) {
					return reject(new SternaError("cancelled", `it was cancelled to ${run.purpose}`, { cause: error }));
				}
				if (error.killed) {
					return reject(
						new SternaError("timeout", `could not ${run.purpose} within ${run.timeoutMs} ms`, { cause: error }),
					);
				}
				reject(new SternaError("internal", `could not ${run.purpose}: ${said}`, { cause: error }));
			},
		);
		child.stdin?.end();
	});
}
