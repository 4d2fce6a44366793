import { chmod, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { Endpoint, Handlers } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import { program } from "./version.ts";
import { endpointOver } from "./wire/endpoint.ts";

const connectTimeoutMs = 3000;
const maxConnections = 32;

function socketPath(dataDir: string): string {
	const path = join(dataDir, "agent.sock");
	if (Buffer.byteLength(path) > 107) {
		throw new SternaError("invalid", `the data folder's path is too long for a unix socket: ${dataDir}`, {
			cure: "choose a folder with a shorter path",
		});
	}
	return path;
}

/**
 * Makes this process the only agent of a data folder, until it ends however it ends: a name in the kernel's abstract
 * socket space (unix(7)), which no crash leaves behind. That space belongs to a network namespace; an agent of the same
 * folder in another one is found by the socket that it serves.
 * @throws {SternaError} `conflict` when another agent has the folder.
 */
export async function claimDataFolder(dataDir: string): Promise<() => Promise<void>> {
	const { dev, ino } = await stat(dataDir);
	const server = createServer((socket) => socket.destroy());
	await listen(server, `\0sterna-agent-${dev}-${ino}`).catch((cause: unknown) => {
		throw new SternaError("conflict", `another agent runs on ${dataDir}`, { cause });
	});
	server.unref();
	const release = () => new Promise<void>((resolve) => server.close(() => resolve()));
	if (await isServed(socketPath(dataDir))) {
		await release();
		throw new SternaError("conflict", `another agent runs on ${dataDir}, in another network namespace`);
	}
	return release;
}

/** Whether some process listens on a unix socket; a file that its process left behind is not served. */
function isServed(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(path);
		socket.once("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.once("error", () => resolve(false));
	});
}

/** Serves the command line of this server on `<dataDir>/agent.sock` (0600). The data folder must be claimed. */
export async function listenLocally(options: {
	dataDir: string;
	handlers: Handlers;
	log: Logger;
}): Promise<{ close(): Promise<void> }> {
	const path = socketPath(options.dataDir);
	const open = new Set<Socket>();
	const server = createServer((socket) => {
		open.add(socket);
		socket.on("error", (error) => options.log.debug({ reason: error.message }, "local connection broke"));
		socket.once("close", () => open.delete(socket));
		endpointOver(socket, {
			program,
			handlers: options.handlers,
			caller: { audience: "local", hostId: null },
			onHandlerError: (command, err) => options.log.error({ command, err }, "command failed"),
		});
	});
	server.maxConnections = maxConnections;
	await rm(path, { force: true });
	await listen(server, path);
	await chmod(path, 0o600);
	return {
		close: () => {
			for (const socket of open) socket.destroy();
			return new Promise((resolve) => server.close(() => resolve()));
		},
	};
}

/** Connects to the agent that runs on this data folder; null when none does. */
export function connectLocally(dataDir: string): Promise<{ endpoint: Endpoint; close(): void } | null> {
	const path = socketPath(dataDir);
	return new Promise((resolve, reject) => {
		const socket = connect(path);
		const fail = (error: SternaError) => {
			clearTimeout(timer);
			socket.destroy();
			reject(error);
		};
		const timer = setTimeout(
			() => fail(new SternaError("timeout", "the agent does not answer on its socket")),
			connectTimeoutMs,
		);
		socket.once("error", (error) => {
			clearTimeout(timer);
			if ("code" in error && (error.code === "ENOENT" || error.code === "ECONNREFUSED")) resolve(null);
			else fail(new SternaError("unavailable", `the agent's socket cannot be opened: ${error.message}`));
		});
		socket.once("connect", () => {
			const endpoint = endpointOver(socket, {
				program: "sterna-agent command line",
				onOpen: () => {
					clearTimeout(timer);
					resolve({ endpoint, close: () => socket.destroy() });
				},
				onProtocolError: fail,
			});
		});
	});
}

function listen(server: Server, path: string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(path, () => {
			server.off("error", reject);
			resolve();
		});
	});
}
