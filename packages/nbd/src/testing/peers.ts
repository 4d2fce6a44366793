import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Intake, type Listening } from "../intake.ts";

/** A folder for one test's sockets, and peers on them that follow a script instead of the protocol. */
export class Peers {
	readonly folder: string;
	readonly #servers: Server[] = [];
	readonly #sockets: Socket[] = [];

	constructor(folder: string) {
		this.folder = folder;
	}

	static async make(): Promise<Peers> {
		return new Peers(await mkdtemp(join(tmpdir(), "nbd-")));
	}

	get socketPath(): string {
		return join(this.folder, "s");
	}

	/** Listens as a server would and does to every client what the script says. */
	async serve(script: (send: (bytes: Uint8Array) => void) => Listening): Promise<string> {
		const server = createServer((socket) => this.#follow(socket, script));
		this.#servers.push(server);
		await new Promise<void>((fulfil) => server.listen(this.socketPath, fulfil));
		return this.socketPath;
	}

	/** Connects as a client would. Fulfilled when the script has come to its end or the server has ended the connection. */
	call(script: (send: (bytes: Uint8Array) => void) => Listening): Promise<"heard out" | "cut off"> {
		const socket = connect(this.socketPath);
		return new Promise((fulfil, fail) => {
			this.#follow(
				socket,
				function* (send) {
					yield* script(send);
					fulfil("heard out");
				},
				fail,
			);
			socket.on("close", () => fulfil("cut off"));
		});
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		for (const server of this.#servers) server.close();
		await rm(this.folder, { recursive: true, force: true });
	}

	#follow(
		socket: Socket,
		script: (send: (bytes: Uint8Array) => void) => Listening,
		fail: (error: unknown) => void = () => undefined,
	): void {
		this.#sockets.push(socket);
		const intake = new Intake(script((bytes) => socket.write(bytes)));
		socket.on("error", () => undefined);
		socket.on("data", (bytes: Buffer) => {
			try {
				intake.feed(bytes);
			} catch (error) {
				fail(error);
				socket.destroy();
			}
		});
	}
}
