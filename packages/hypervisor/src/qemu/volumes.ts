import { constants } from "node:fs";
import { chmod, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { z } from "zod";
import type { CreateVolume, VolumeLocation, VolumeReport } from "../hypervisor.ts";
import { incompleteMark, notCompletelyHere } from "./fill-mark.ts";
import { syncFile } from "./sync-file.ts";
import { runTool } from "./tool.ts";
import { copyFromSocket } from "./volume-from-socket.ts";

const ImageInfo = z.object({
	format: z.literal("qcow2"),
	"virtual-size": z.int().min(0),
	"actual-size": z.int().min(0),
	"backing-filename": z.string().optional(),
	"format-specific": z
		.object({
			data: z.object({
				"data-file": z.string().optional(),
				bitmaps: z.array(z.object({ name: z.string(), flags: z.array(z.string()) })).default([]),
			}),
		})
		.optional(),
});

const quickMs = 30_000;
const copyMs = 30 * 60_000;

/** Makes a volume under a name of its own and gives it its path when it is whole: what is there is complete. */
export async function createVolume(img: string, request: CreateVolume): Promise<void> {
	const { path, sizeBytes, from } = request;
	checkSize(sizeBytes);
	const present = await inspectVolume(img, request);
	if (present.exists) {
		if (present.sizeBytes === sizeBytes) return;
		throw new SternaError(
			"conflict",
			`the volume ${request.volumeId} is there already, with ${present.sizeBytes} bytes instead of ${sizeBytes}`,
		);
	}
	const partial = `${path}.partial`;
	await rm(partial, { force: true });
	try {
		if (from && "socket" in from) await copyFromSocket(img, from, { ...request, path: partial });
		else if (from) await copyImage(img, from, partial, request);
		else await create(img, partial, request);
		await chmod(partial, 0o600);
		await syncFile(partial);
		await rename(partial, path);
		await syncFile(dirname(path));
	} catch (error) {
		await rm(partial, { force: true }).catch(() => undefined);
		throw error;
	}
}

export async function deleteVolume({ path }: VolumeLocation): Promise<void> {
	await rm(path, { force: true });
}

/** @throws {SternaError} `invalid` for what is no size of a disk. */
export function checkSize(sizeBytes: number): void {
	if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % 512 === 0) return;
	throw new SternaError("invalid", `a volume of ${sizeBytes} bytes cannot be made`);
}

/** What the file says of itself, asked also while a guest has it open. @throws {SternaError} `invalid` for what is no volume of ours. */
export async function inspectVolume(img: string, { volumeId, path }: VolumeLocation): Promise<VolumeReport> {
	const file = await stat(path).catch(absentAsNull);
	if (file === null) return { exists: false, sizeBytes: 0, allocatedBytes: 0 };
	if (!file.isFile()) throw new SternaError("invalid", `the volume ${volumeId} is not a file`);
	const info = await readInfo(img, { volumeId, path });
	if (info["backing-filename"] === incompleteMark) throw notCompletelyHere(volumeId);
	if (info["backing-filename"] !== undefined || info["format-specific"]?.data["data-file"] !== undefined) {
		throw new SternaError("invalid", `the volume ${volumeId} refers to another file; volumes stand alone`);
	}
	return { exists: true, sizeBytes: info["virtual-size"], allocatedBytes: info["actual-size"] };
}

/** The bitmaps in a file that is nobody's that lost track of its changes, because a process that had it open was killed. */
export async function inconsistentBitmaps(img: string, location: VolumeLocation): Promise<string[]> {
	const info = await readInfo(img, location);
	const bitmaps = info["format-specific"]?.data.bitmaps ?? [];
	return bitmaps.filter(({ flags }) => flags.includes("in-use")).map(({ name }) => name);
}

async function readInfo(img: string, { volumeId, path }: VolumeLocation): Promise<z.infer<typeof ImageInfo>> {
	const text = await runTool({
		program: img,
		arguments: ["info", "--force-share", "--output=json", "-f", "qcow2", path],
		timeoutMs: quickMs,
		purpose: `look at the volume ${volumeId}`,
	});
	return ImageInfo.parse(JSON.parse(text));
}

/** Whether the filesystem under `path` can be read past the host's cache (open(2), O_DIRECT). */
export async function supportsDirectIo(path: string): Promise<boolean> {
	try {
		const file = await open(path, constants.O_RDONLY | constants.O_DIRECT);
		await file.close();
		return true;
	} catch {
		return false;
	}
}

async function create(img: string, path: string, { volumeId, sizeBytes }: CreateVolume): Promise<void> {
	await runTool({
		program: img,
		arguments: ["create", "-q", "-f", "qcow2", path, String(sizeBytes)],
		timeoutMs: quickMs,
		purpose: `make the volume ${volumeId}`,
	});
}

async function copyImage(
	img: string,
	from: { path: string; format: "qcow2" | "raw" },
	path: string,
	{ volumeId, sizeBytes }: CreateVolume,
): Promise<void> {
	if (!from.path.startsWith("/")) throw new SternaError("invalid", `${JSON.stringify(from.path)} is no absolute path`);
	const purpose = `copy an image into the volume ${volumeId}`;
	// The format is the one that was declared: what a guest or a stranger wrote into the file decides nothing.
	if (from.format === "qcow2") await inspectVolume(img, { volumeId, path: from.path });
	await runTool({
		program: img,
		arguments: ["convert", "-q", "-f", from.format, "-O", "qcow2", from.path, path],
		timeoutMs: copyMs,
		purpose,
	});
	const copied = await inspectVolume(img, { volumeId, path });
	if (copied.sizeBytes > sizeBytes) {
		throw new SternaError(
			"invalid",
			`the image has ${copied.sizeBytes} bytes; the volume ${volumeId} has only ${sizeBytes}`,
		);
	}
	await runTool({
		program: img,
		arguments: ["resize", "-q", "-f", "qcow2", path, String(sizeBytes)],
		timeoutMs: quickMs,
		purpose,
	});
}

function absentAsNull(error: NodeJS.ErrnoException): null {
	if (error.code === "ENOENT") return null;
	throw error;
}
