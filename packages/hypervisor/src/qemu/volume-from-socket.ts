import { SternaError } from "@sterna/shared/errors";
import type { VolumeLocation } from "../hypervisor.ts";
import { runTool } from "./tool.ts";

/** Terabytes over a slow line; whoever serves the socket ends it sooner by closing it. */
const longestMs = 14 * 24 * 3_600_000;
const quickMs = 30_000;

/**
 * Writes what an NBD server serves into a new file, its zeros as holes, and gives the file the volume's size.
 * @throws {SternaError} `invalid` when the content is larger than the volume; `internal` when the server breaks off.
 */
export async function copyFromSocket(
	img: string,
	from: { socket: string; exportName: string },
	{ volumeId, path, sizeBytes }: VolumeLocation & { sizeBytes: number },
): Promise<void> {
	const purpose = `fill the volume ${volumeId}`;
	const server = { driver: "nbd", server: { type: "unix", path: from.socket }, export: from.exportName };
	const source = `json:${JSON.stringify({ driver: "raw", file: server })}`;
	const size = await runTool({
		program: img,
		arguments: ["info", "--output=json", source],
		timeoutMs: quickMs,
		purpose,
	});
	const contentBytes: unknown = JSON.parse(size)["virtual-size"];
	if (typeof contentBytes !== "number" || contentBytes > sizeBytes) {
		throw new SternaError("invalid", `${contentBytes} bytes do not fit into the volume ${volumeId}`);
	}
	// Out of order and several at a time: the server's answers come from a repository, and each takes its time.
	const convert = ["convert", "-q", "-W", "-m", "8", "-O", "qcow2", source, path];
	await runTool({ program: img, arguments: convert, timeoutMs: longestMs, purpose });
	await runTool({
		program: img,
		arguments: ["resize", "-q", "-f", "qcow2", path, String(sizeBytes)],
		timeoutMs: quickMs,
		purpose,
	});
	await runTool({ program: img, arguments: ["check", "-q", "-f", "qcow2", path], timeoutMs: longestMs, purpose });
}
