import { connect, createServer, type Server, type Socket } from "node:net";

/** A cable between two agents that a test can cut: every port of `from` leads to the same port of `to`. */
export interface Cable {
	/** From now on nothing arrives on either side and nobody is told: as when the plug is pulled. */
	cut(): void;
	/** What was on its way is lost with its connections; new ones get through. */
	mend(): void;
	close(): Promise<void>;
}

export async function layCable(options: { from: string; to: string; ports: readonly number[] }): Promise<Cable> {
	const { from, to, ports } = options;
	const open = new Set<Socket>();
	let isCut = false;
	const servers = await Promise.all(ports.map((port) => serve(port)));

	function serve(port: number): Promise<Server> {
		const server = createServer((near) => {
			keep(near);
			if (isCut) return;
			const far = connect(port, to);
			keep(far);
			pass(near, far);
			pass(far, near);
		});
		return new Promise((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, from, () => resolve(server));
		});
	}

	function keep(socket: Socket): void {
		open.add(socket);
		socket.setNoDelay(true);
		socket.on("error", () => {});
		socket.once("close", () => open.delete(socket));
	}

	function pass(source: Socket, sink: Socket): void {
		source.on("data", (chunk) => {
			if (isCut) return;
			if (!sink.write(chunk)) source.pause();
		});
		sink.on("drain", () => source.resume());
		source.once("close", () => isCut || sink.destroy());
		source.once("end", () => isCut || sink.end());
	}

	return {
		cut() {
			isCut = true;
		},
		mend() {
			isCut = false;
			for (const socket of open) socket.destroy();
		},
		close: async () => {
			for (const socket of open) socket.destroy();
			await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
		},
	};
}
