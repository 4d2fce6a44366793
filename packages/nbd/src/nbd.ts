/**
 * The Network Block Device protocol over unix sockets, as far as Sterna needs it: fixed newstyle, structured replies, block
 * status. Source: https://github.com/NetworkBlockDevice/nbd, doc/proto.md. `client.ts` exports `connectNbd`, `server.ts`
 * exports `serveNbd`.
 */

/** `flags` as the context defines them: `base:allocation` bit 0 hole, bit 1 zero; `qemu:dirty-bitmap:…` bit 0 dirty. */
export interface NbdExtent {
	offset: number;
	lengthBytes: number;
	flags: number;
}

export interface NbdClient {
	readonly sizeBytes: number;
	/**
	 * Several may be in flight.
	 * @param into takes the bytes, where memory is used again; it is at least so long
	 * @throws {SternaError} `unavailable` for an I/O error of the server or a lost connection.
	 */
	read(offset: number, lengthBytes: number, into?: Uint8Array): Promise<Uint8Array>;
	/** The extents of the whole range, neighbours of the same flags joined. The context must have been asked for at connecting. */
	extents(context: string, offset: number, lengthBytes: number): AsyncIterable<NbdExtent>;
	close(): Promise<void>;
}

export interface NbdExport {
	name: string;
	sizeBytes: number;
	/** Throws to answer EIO. */
	read(offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
	/** For block status of `base:allocation`, which is not offered without it. Zeros are sent as holes all the same. */
	extents?(offset: number, lengthBytes: number): AsyncIterable<{ offset: number; lengthBytes: number; zero: boolean }>;
	/** Further metadata contexts, by name. */
	contexts?: ReadonlyMap<string, (offset: number, lengthBytes: number) => AsyncIterable<NbdExtent>>;
}

export interface NbdServer {
	/** Ends all connections and removes the socket. */
	close(): Promise<void>;
}
