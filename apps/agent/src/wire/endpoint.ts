import type { Duplex } from "node:stream";
import { Endpoint, type EndpointOptions } from "@sterna/shared/protocol/rpc";
import { LineWire } from "./lines.ts";

/** Who says nothing for this long after connecting is not one of ours. */
export const helloTimeoutMs = 10_000;

/** One end of a connection over a socket with lines. The socket is closed when the other side breaks the protocol. */
export function endpointOver(socket: Duplex, options: Omit<EndpointOptions, "wire">): Endpoint {
	const wire = new LineWire(socket, (text) => endpoint.receive(text));
	const timer = setTimeout(() => wire.close("no hello arrived in time"), helloTimeoutMs);
	timer.unref();
	const endpoint: Endpoint = new Endpoint({
		...options,
		wire,
		onOpen: (hello) => {
			clearTimeout(timer);
			options.onOpen?.(hello);
		},
	});
	let reason = "the other side closed it";
	socket.on("error", (error) => {
		reason = error.message;
	});
	socket.on("close", () => {
		clearTimeout(timer);
		endpoint.closed(reason);
	});
	return endpoint;
}
