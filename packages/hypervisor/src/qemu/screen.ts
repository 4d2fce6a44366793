import { SternaError } from "@sterna/shared/errors";
import type { QemuGuest } from "./guest.ts";

/** The guest's screen as a PNG. */
export async function screenshot(_guest: QemuGuest): Promise<Uint8Array> {
	throw new SternaError("internal", "taking a picture of a guest's screen is not built yet");
}
