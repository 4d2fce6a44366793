import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { expect } from "vitest";
import { connectNbd } from "../client.ts";

export const run = promisify(execFile);

export interface QemuExport {
	close(): Promise<void>;
}

/** Serves an image by QEMU's own server until it is closed. */
export async function serveByQemu(
	program: string,
	what: { path: string; format: "raw" | "qcow2"; socketPath: string; bitmap?: string },
): Promise<QemuExport> {
	const { path, format, socketPath, bitmap } = what;
	const metadata = bitmap === undefined ? [] : ["--bitmap", bitmap];
	const args = ["--read-only", "-f", format, "-x", "disk", "-e", "8", "-t", "-k", socketPath, ...metadata, path];
	const server = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
	const ended = new Promise<void>((fulfil) => server.once("exit", () => fulfil()));
	const joins = () => connectNbd({ socketPath, exportName: "disk", contexts: [] }).then((client) => client.close());
	await expect
		.poll(() =>
			joins().then(
				() => true,
				() => false,
			),
		)
		.toBe(true);
	return {
		async close() {
			server.kill("SIGKILL");
			await ended;
		},
	};
}
