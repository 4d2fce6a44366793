import { access, open } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import { z } from "zod";
import type { VolumeLocation } from "../hypervisor.ts";
import { syncFile } from "./sync-file.ts";
import { runTool } from "./tool.ts";

/**
 * A volume that is not completely here says so in itself, in the place where a qcow2 names the file behind it: whoever
 * opens it without knowing its source fails, instead of reading holes. QEMU takes it away when the last block is here.
 */
export const incompleteMark = "sterna:not-completely-here";

const quickMs = 30_000;
const ImageMap = z.array(z.object({ present: z.boolean() }));

/** Read from the header itself (docs/interop/qcow2 of QEMU: backing_file_offset at 8, backing_file_size at 16). */
export async function isIncomplete(path: string): Promise<boolean> {
	const file = await open(path, "r");
	try {
		const header = Buffer.alloc(20);
		const { bytesRead } = await file.read(header, 0, header.length, 0);
		if (bytesRead < header.length || header.toString("latin1", 0, 4) !== "QFI\xfb") return false;
		const lengthBytes = header.readUInt32BE(16);
		if (lengthBytes !== incompleteMark.length) return false;
		const name = Buffer.alloc(lengthBytes);
		await file.read(name, 0, lengthBytes, Number(header.readBigUInt64BE(8)));
		return name.toString("latin1") === incompleteMark;
	} finally {
		await file.close();
	}
}

/** @throws {SternaError} `wrong_state` for a volume that cannot be used without its source. */
export async function refuseIncomplete({ volumeId, path }: VolumeLocation): Promise<void> {
	if (await isIncomplete(path)) throw notCompletelyHere(volumeId);
}

export function notCompletelyHere(volumeId: string): SternaError {
	return new SternaError("wrong_state", `the volume ${volumeId} is not completely here yet`, {
		cure: "go on with the restore that fills it, or delete it and restore it again",
	});
}

/**
 * Whether what a source has is missing in the volume: marked, or as new as it was made; a new one is marked by this. One
 * that was filled to its end stands alone, whatever an interrupted journal thinks.
 */
export async function needsSource(img: string, location: VolumeLocation): Promise<boolean> {
	const { volumeId, path } = location;
	if (await isIncomplete(path)) return true;
	if (await holdsData(img, location)) return false;
	await runTool({
		program: img,
		arguments: ["rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", incompleteMark, path],
		timeoutMs: quickMs,
		purpose: `prepare the volume ${volumeId}`,
	});
	await syncFile(path);
	return true;
}

/**
 * Whether the volume's own tables have any block, be it one of zeros; what stands behind it is not opened. Not the space that
 * it takes: some file systems tell that later.
 * @throws {SternaError} `not_found`; `internal` also when a process has it open for writing, by QEMU's lock.
 */
export async function holdsData(img: string, { volumeId, path }: VolumeLocation): Promise<boolean> {
	await access(path).catch((cause: unknown) => {
		throw new SternaError("not_found", `the volume ${volumeId} is not there`, { cause });
	});
	const alone = { driver: "qcow2", backing: null, file: { driver: "file", filename: path } };
	const text = await runTool({
		program: img,
		arguments: ["map", "--output=json", `json:${JSON.stringify(alone)}`],
		timeoutMs: quickMs,
		purpose: `look at what the volume ${volumeId} has`,
	});
	return ImageMap.parse(JSON.parse(text)).some(({ present }) => present);
}
