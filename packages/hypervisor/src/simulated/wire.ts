import { connect, createServer, type Server, type Socket } from "node:net";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { VolumeId } from "@sterna/shared/ids";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";

/** What goes over a copy's socket, one JSON object per line. Pages carry real bytes, so that a tunnel has work to do. */
export const CopyMessage = z.discriminatedUnion("type", [
	z.strictObject({ type: z.literal("memory"), guestId: z.string() }),
	z.strictObject({ type: z.literal("disk"), volumeId: VolumeId }),
	z.strictObject({ type: z.literal("page"), data: z.string().max(65536) }),
	/** The disk copy's content up to now: repeated until the drain. */
	z.strictObject({ type: z.literal("diskContent"), count: z.int().min(0) }),
	/** The last of memory: what the guest had counted when it was paused. */
	z.strictObject({ type: z.literal("lastPages"), count: z.int().min(0) }),
	z.strictObject({ type: z.literal("received") }),
]);
export type CopyMessage = z.infer<typeof CopyMessage>;

/** One connection of a copy: sends messages, and hands over what comes. Its loss ends whoever waits with `unavailable`. */
export class CopyConnection {
	readonly #socket: Socket;
	readonly #received: CopyMessage[] = [];
	#waiter: { resolve(message: CopyMessage): void; reject(error: SternaError): void } | null = null;
	#lost: SternaError | null = null;
	#text = "";

	static open(path: string): CopyConnection {
		return new CopyConnection(connect(path));
	}

	constructor(socket: Socket) {
		this.#socket = socket;
		socket.setEncoding("utf8");
		socket.on("data", (text: string) => this.#read(text));
		socket.on("error", (cause) => this.#end(new SternaError("unavailable", "the copy's connection broke", { cause })));
		socket.on("close", () => this.#end(new SternaError("unavailable", "the copy's connection was closed")));
	}

	/** Fulfilled when the message has left. */
	send(message: CopyMessage): Promise<void> {
		if (this.#lost) return Promise.reject(this.#lost);
		return new Promise((fulfil, reject) => {
			this.#socket.write(`${JSON.stringify(message)}\n`, (cause) => {
				if (cause) reject(new SternaError("unavailable", "the copy's connection broke", { cause }));
				else fulfil();
			});
		});
	}

	/** The next message. @throws {SternaError} `unavailable`, `timeout`, `cancelled` */
	async next(options: { timeoutMs: number; signal?: AbortSignal }): Promise<CopyMessage> {
		const early = this.#received.shift();
		if (early) return early;
		if (this.#lost) throw this.#lost;
		const { promise, resolve, reject } = Promise.withResolvers<CopyMessage>();
		this.#waiter = { resolve, reject };
		const timer = setTimeout(() => {
			reject(new SternaError("timeout", `the other side of the copy was silent for ${options.timeoutMs} ms`));
		}, options.timeoutMs);
		const onAbort = () => reject(new SternaError("cancelled", "the copy was cancelled"));
		options.signal?.addEventListener("abort", onAbort);
		try {
			return await promise;
		} finally {
			clearTimeout(timer);
			options.signal?.removeEventListener("abort", onAbort);
			this.#waiter = null;
		}
	}

	close(): void {
		this.#socket.destroy();
	}

	#read(text: string): void {
		this.#text += text;
		const lines = this.#text.split("\n");
		this.#text = lines.pop() ?? "";
		try {
			if (this.#text.length > 1024 * 1024) throw new SternaError("invalid", "a message of the copy is too long");
			for (const line of lines) this.#take(CopyMessage.parse(parseJson(line)));
		} catch (error) {
			this.#end(asSternaError(error));
		}
	}

	#take(message: CopyMessage): void {
		if (this.#waiter) {
			this.#waiter.resolve(message);
			this.#waiter = null;
		} else this.#received.push(message);
	}

	#end(error: SternaError): void {
		if (this.#lost) return;
		this.#lost = error;
		this.#socket.destroy();
		this.#waiter?.reject(error);
	}
}

/** Listens on a unix socket; every connection is handed to `serve`. */
export async function listen(path: string, serve: (connection: CopyConnection) => Promise<void>): Promise<Server> {
	const server = createServer((socket) => {
		const connection = new CopyConnection(socket);
		serve(connection)
			// A copy that breaks off is the source's to report; the target just goes on waiting.
			.catch(() => undefined)
			.finally(() => connection.close());
	});
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	server.once("error", reject).listen(path, resolve);
	await promise;
	return server;
}
