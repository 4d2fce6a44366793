import { SternaError } from "@sterna/shared/errors";
import type { QemuGuest } from "./guest.ts";

/** Whether the guest agent answers within `timeoutMs`. */
export async function isAlive(_guest: QemuGuest, _timeoutMs: number): Promise<boolean> {
	throw new SternaError("internal", "asking a guest agent is not built yet");
}
