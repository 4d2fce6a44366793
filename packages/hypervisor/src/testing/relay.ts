import { connect, createServer, type Socket } from "node:net";

/** A link between two unix sockets that a test can hold, let go and cut, as a tunnel's link may be. */
export interface Relay {
	socket: string;
	/** From now on nothing passes; whoever sends fills buffers. */
	hold(): void;
	letGo(): void;
	/** Both sides hear at once that the link is gone. */
	cut(): void;
	close(): void;
}

export async function openRelay(socket: string, target: string): Promise<Relay> {
	const pairs = new Set<readonly [Socket, Socket]>();
	let held = false;
	const server = createServer((near) => {
		const far = connect(target);
		const pair = [near, far] as const;
		pairs.add(pair);
		const end = () => {
			near.destroy();
			far.destroy();
			pairs.delete(pair);
		};
		for (const [from, to] of [pair, [far, near] as const]) {
			if (!held) from.pipe(to);
			from.on("error", end).on("close", end);
		}
	});
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	server.once("error", reject).listen(socket, resolve);
	await promise;
	const cut = () => {
		for (const pair of [...pairs]) for (const side of pair) side.destroy();
	};
	return {
		socket,
		hold() {
			held = true;
			for (const [near, far] of pairs) {
				for (const side of [near, far]) side.unpipe().pause();
			}
		},
		letGo() {
			held = false;
			for (const [near, far] of pairs) {
				near.pipe(far);
				far.pipe(near);
			}
		},
		cut,
		close() {
			cut();
			server.close();
		},
	};
}
