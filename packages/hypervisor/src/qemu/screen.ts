import { constants } from "node:fs";
import { open, rm } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import { label, type QemuGuest } from "./guest.ts";

const screendumpMs = 10_000;
/** 1280 × 800 of noise has 3 MiB; no screen of ours is larger. */
const maxPictureBytes = 8 * 1024 * 1024;
/** ISO/IEC 15948, 5.2. */
const pngSignature = Buffer.from("89504e470d0a1a0a", "hex");

/**
 * What the guest's screen shows now, as a PNG.
 * @throws {SternaError} `wrong_state` when QEMU has no picture, `invalid` when what it wrote is none.
 */
export async function screenshot(guest: QemuGuest): Promise<Uint8Array> {
	const { monitor, paths } = guest;
	try {
		await monitor.execute("screendump", { filename: paths.screen, format: "png" }, { timeoutMs: screendumpMs });
		return await readPicture(guest);
	} finally {
		await rm(paths.screen, { force: true });
	}
}

/** The folder is the guest's user's: if it broke out of QEMU, what lies there may be a link to anything, or no file at all. */
async function readPicture(guest: QemuGuest): Promise<Uint8Array> {
	const noPicture = (cause?: unknown) =>
		new SternaError("invalid", `QEMU of ${label(guest)} wrote something else than a picture`, { cause });
	const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
	const file = await open(guest.paths.screen, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((cause: unknown) => {
		throw noPicture(cause);
	});
	try {
		const status = await file.stat();
		if (!status.isFile() || status.nlink !== 1 || status.size > maxPictureBytes) throw noPicture();
		const picture = await file.readFile();
		if (!picture.subarray(0, pngSignature.length).equals(pngSignature)) throw noPicture();
		return picture;
	} finally {
		await file.close();
	}
}
