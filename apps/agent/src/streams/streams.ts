import { chmod, chown, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { SternaError } from "@sterna/shared/errors";
import type { HostId, VolumeId } from "@sterna/shared/ids";
import {
	type SourceOrder,
	type StreamBytes,
	type StreamIdentity,
	type StreamTimes,
	streamTimes,
	type WorkerOrder,
	type WorkerReport,
} from "./messages.ts";

/**
 * The way of a guest's memory and disks between two agents: QEMU speaks to unix sockets only, a worker thread on each
 * side carries the bytes over mutual TLS. A transfer is whole or dead: one stream that fails ends all of them.
 */
export interface Transfer {
	/** Bytes carried so far, by stream: `memory` or `disk-<volumeId>`. */
	bytes(): Record<string, StreamBytes>;
	/** Fulfilled when the transfer is over: null after `destroy` or when all streams came to their end, else why it died. */
	readonly ended: Promise<SternaError | null>;
	/** Cuts everything at once and frees port and sockets. Over already: no change. */
	destroy(): Promise<void>;
}

export interface TargetTransfer extends Transfer {
	port: number;
	memoryTicket: string;
	diskTickets: Record<string, string>;
}

export interface SourceTransfer extends Transfer {
	memorySocket: string;
	disks: { volumeId: VolumeId; socket: string }[];
}

/** Told about connections that were turned away; for the log. */
type OnRefused = (reason: string) => void;

/**
 * Receiving side: opens a port for this transfer only.
 * @throws {SternaError} `no_capacity` when no port of the range is free.
 */
export async function openTargetTransfer(options: {
	identity: StreamIdentity;
	peerHostId: HostId;
	listenAddress: string;
	portRange: { from: number; to: number };
	memorySocket: string;
	diskSocket: string | null;
	copiedVolumes: readonly VolumeId[];
	onRefused: OnRefused;
	times?: StreamTimes;
}): Promise<TargetTransfer> {
	const { identity, peerHostId, listenAddress, portRange, times = streamTimes } = options;
	const { diskSocket, copiedVolumes } = options;
	if (copiedVolumes.length > 0 && diskSocket === null) {
		throw new SternaError("internal", "volumes are to be copied, but QEMU offers no socket for them");
	}
	const disks = copiedVolumes.map((volumeId) => ({ name: diskStream(volumeId), socketPath: diskSocket ?? "" }));
	const streams = [{ name: "memory", socketPath: options.memorySocket }, ...disks];
	for (const { socketPath } of streams) checkSocketPath(socketPath);
	const order: WorkerOrder = { side: "target", identity, peerHostId, listenAddress, portRange, streams, times };
	const { transfer, ready } = await startWorker(order, options.onRefused);
	const ticketOf = (name: string) => {
		const ticket = ready.tickets[name];
		if (ticket === undefined) throw new SternaError("internal", `the stream ${name} has no ticket`);
		return ticket;
	};
	const diskTickets = Object.fromEntries(copiedVolumes.map((volumeId) => [volumeId, ticketOf(diskStream(volumeId))]));
	return { ...transfer, port: ready.port, memoryTicket: ticketOf("memory"), diskTickets };
}

/**
 * Sending side: fulfilled when the target has accepted every stream and QEMU may connect to the sockets, which are in
 * `folder` (made 0700, removed in the end).
 * @throws {SternaError} `unavailable`, `timeout` when the target cannot be reached or turns a ticket away.
 */
export async function openSourceTransfer(options: {
	identity: StreamIdentity;
	peerHostId: HostId;
	address: string;
	port: number;
	memoryTicket: string;
	diskTickets: { volumeId: VolumeId; ticket: string }[];
	folder: string;
	socketOwner: SourceOrder["socketOwner"];
	times?: StreamTimes;
}): Promise<SourceTransfer> {
	const { identity, peerHostId, address, port, folder, socketOwner, times = streamTimes } = options;
	const memorySocket = join(folder, "memory.sock");
	// Numbered, because a volume id would leave the path of a data folder hardly any room.
	const disks = options.diskTickets.map(({ volumeId, ticket }, index) => {
		return { volumeId, name: diskStream(volumeId), ticket, socket: join(folder, `disk-${index}.sock`) };
	});
	const streams = [
		{ name: "memory", socketPath: memorySocket, ticket: options.memoryTicket },
		...disks.map(({ name, socket, ticket }) => ({ name, socketPath: socket, ticket })),
	];
	for (const { socketPath } of streams) checkSocketPath(socketPath);
	await rm(folder, { recursive: true, force: true });
	await mkdir(folder, { recursive: true, mode: 0o700 });
	// Best effort: the worker's end has closed the sockets, and a folder that stays is in nobody's way.
	const cleanUp = () => rm(folder, { recursive: true, force: true }).catch(() => {});
	try {
		await chmod(folder, 0o700);
		if (socketOwner) await chown(folder, socketOwner.uid, socketOwner.gid);
		const order: WorkerOrder = { side: "source", identity, peerHostId, address, port, streams, socketOwner, times };
		const { transfer } = await startWorker(order, () => {}, cleanUp);
		return { ...transfer, memorySocket, disks: disks.map(({ volumeId, socket }) => ({ volumeId, socket })) };
	} catch (error) {
		await cleanUp();
		throw error;
	}
}

function diskStream(volumeId: VolumeId): string {
	return `disk-${volumeId}`;
}

/** unix(7): sun_path has 108 bytes, the last of them a zero. */
function checkSocketPath(path: string): void {
	const length = Buffer.byteLength(path);
	if (length > 107) {
		throw new SternaError("invalid", `the path of a socket has ${length} bytes, at most 107 are possible: ${path}`, {
			cure: "give the agent a data folder with a shorter path",
		});
	}
}

type Ready = Extract<WorkerReport, { type: "ready" }>;

/** The bundle has the worker beside the main program, under the ending of the bundle. */
const workerUrl = new URL(
	import.meta.url.endsWith(".ts") ? "./stream-worker.ts" : "./stream-worker.js",
	import.meta.url,
);

/** Fulfilled when the worker says that it is ready; a worker that fails before that is gone when this rejects. */
function startWorker(
	order: WorkerOrder,
	onRefused: OnRefused,
	cleanUp: () => Promise<void> = async () => {},
): Promise<{ transfer: Transfer; ready: Ready }> {
	const worker = new Worker(workerUrl, { workerData: order, name: `streams-${order.side}` });
	const started = Promise.withResolvers<{ transfer: Transfer; ready: Ready }>();
	const ended = Promise.withResolvers<SternaError | null>();
	const unfinished = new Set(order.streams.map(({ name }) => name));
	let bytes: Record<string, StreamBytes> = {};
	let over: Promise<void> | null = null;

	/** Terminating closes every socket of the worker: there is one way to end, whatever the reason. */
	function end(error: SternaError | null): Promise<void> {
		over ??= (async () => {
			await worker.terminate();
			await cleanUp();
			ended.resolve(error);
			started.reject(error ?? new SternaError("cancelled", "the transfer was cut before it began"));
		})();
		return over;
	}

	worker.on("message", (report: WorkerReport) => {
		switch (report.type) {
			case "ready":
				return started.resolve({
					transfer: { bytes: () => bytes, ended: ended.promise, destroy: () => end(null) },
					ready: report,
				});
			case "bytes":
				bytes = report.streams;
				return;
			case "finished":
				unfinished.delete(report.stream);
				if (unfinished.size === 0) void end(null);
				return;
			case "refused":
				return onRefused(report.reason);
			case "failed":
				return void end(SternaError.fromWire(report.error));
		}
	});
	worker.on("error", (cause) => void end(crashed(cause)));
	worker.on("exit", () => void end(crashed()));
	return started.promise;
}

function crashed(cause?: unknown): SternaError {
	return new SternaError("unavailable", "the worker that carries the streams has crashed", { cause });
}
