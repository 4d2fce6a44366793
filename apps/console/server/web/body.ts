import type { IncomingMessage } from "node:http";
import { SternaError } from "@sterna/shared/errors";

/**
 * The whole body as text.
 * @throws {SternaError} `invalid` as soon as more than `maxBytes` are announced or have arrived, or when it is no UTF-8.
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
	const tooLong = () => new SternaError("invalid", `the request's body has more than ${maxBytes} bytes`);
	if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLong();
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > maxBytes) throw tooLong();
		chunks.push(chunk);
	}
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
	} catch (cause) {
		throw new SternaError("invalid", "the request's body is not UTF-8", { cause });
	}
}
