import type { WebSocket } from "ws";

/** Calls `onSilent` when the other side gave no sign of life for `silentMs`; pings in between. Ends with the socket. */
export function keepAlive(
	socket: WebSocket,
	options: { pingMs: number; silentMs: number; onSilent: () => void },
): void {
	let heardAt = performance.now();
	const heard = () => {
		heardAt = performance.now();
	};
	for (const event of ["pong", "ping", "message"] as const) socket.on(event, heard);
	const timer = setInterval(() => {
		if (performance.now() - heardAt > options.silentMs) options.onSilent();
		else if (socket.readyState === socket.OPEN) socket.ping();
	}, options.pingMs);
	timer.unref();
	socket.once("close", () => clearInterval(timer));
}

/** Whether somebody still answers at the other end: a ping that is answered within the deadline. */
export function isAlive(socket: WebSocket, timeoutMs: number): Promise<boolean> {
	return new Promise((resolve) => {
		if (socket.readyState !== socket.OPEN) return resolve(false);
		const settle = (alive: boolean) => {
			clearTimeout(timer);
			socket.off("pong", onPong);
			socket.off("close", onClose);
			resolve(alive);
		};
		const mark = Buffer.from(crypto.randomUUID());
		const onPong = (data: Buffer) => {
			if (data.equals(mark)) settle(true);
		};
		const onClose = () => settle(false);
		const timer = setTimeout(() => settle(false), timeoutMs);
		socket.on("pong", onPong);
		socket.once("close", onClose);
		socket.ping(mark);
	});
}
