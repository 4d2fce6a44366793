import type { WireError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";

/** The certificates from joining, as PEM texts: this host proves itself with them and knows its peers by them. */
export interface StreamIdentity {
	key: string;
	certificate: string;
	/** The console's certificate authority. */
	authority: string;
}

/** Deadlines of a stream; tests shorten them. */
export interface StreamTimes {
	/** A stream that sends nothing else sends this often that it lives. */
	heartbeatMs: number;
	/** Nothing heard for this long: the other side or the way to it is dead, and both ends are cut. */
	silenceLimitMs: number;
	/** Every stream must be opened with its ticket within this time. */
	ticketLifetimeMs: number;
}

export const streamTimes: StreamTimes = { heartbeatMs: 1000, silenceLimitMs: 6000, ticketLifetimeMs: 30_000 };

/** What the worker of the receiving side is told. `streams` maps each stream to the unix socket of QEMU it leads to. */
export interface TargetOrder {
	side: "target";
	identity: StreamIdentity;
	/** The only host that may come. */
	peerHostId: HostId;
	listenAddress: string;
	/** Inclusive; a free port of it is taken. */
	portRange: { from: number; to: number };
	streams: { name: string; socketPath: string }[];
	times: StreamTimes;
}

/** What the worker of the sending side is told. Each stream gets a unix socket at `socketPath` for QEMU to connect to. */
export interface SourceOrder {
	side: "source";
	identity: StreamIdentity;
	peerHostId: HostId;
	address: string;
	port: number;
	streams: { name: string; socketPath: string; ticket: string }[];
	/** Whose process will connect; null leaves the sockets to this process's user. */
	socketOwner: { uid: number; gid: number } | null;
	times: StreamTimes;
}

export type WorkerOrder = TargetOrder | SourceOrder;

export interface StreamBytes {
	sentBytes: number;
	receivedBytes: number;
}

export type WorkerReport =
	| { type: "ready"; port: number; tickets: Record<string, string> }
	| { type: "bytes"; streams: Record<string, StreamBytes> }
	/** QEMU closed the stream on both ends and every byte arrived. */
	| { type: "finished"; stream: string }
	/** Somebody was turned away at the door. */
	| { type: "refused"; reason: string }
	/** A stream is dead; everything of this transfer is cut. */
	| { type: "failed"; error: WireError };
