import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { SternaError } from "@sterna/shared/errors";
import type { NbdExport, NbdServer } from "./nbd.ts";
import { Service } from "./service.ts";

export interface ServeNbd {
	/** Replaced when something is there: an earlier life's socket. */
	socketPath: string;
	exports: readonly NbdExport[];
}

/** A QEMU opens one connection for each volume, and another while it connects again. */
const maxConnections = 64;

/**
 * Serves read-only exports on a unix socket until it is closed. Each connection has its own bounds of memory and of
 * requests at a time; a client that reads slowly waits alone.
 * @throws {SternaError} `unavailable` when the socket cannot be made.
 */
export async function serveNbd({ socketPath, exports }: ServeNbd): Promise<NbdServer> {
	await rm(socketPath, { force: true });
	const services = new Set<Service>();
	const server = createServer((socket) => {
		const service = new Service(socket, exports);
		services.add(service);
		socket.once("close", () => services.delete(service));
	});
	server.maxConnections = maxConnections;
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	server.once("error", reject).listen(socketPath, resolve);
	await promise.catch((cause: unknown) => {
		throw new SternaError("unavailable", `the NBD server cannot listen on ${socketPath}`, { cause });
	});
	return {
		async close() {
			const closed = new Promise<void>((fulfil) => server.close(() => fulfil()));
			for (const service of services) service.end();
			await closed;
			await rm(socketPath, { force: true });
		},
	};
}
