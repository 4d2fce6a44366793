import { SternaError } from "@sterna/shared/errors";
import type { QemuGuest } from "./guest.ts";

/** Whether the guest agent answers within `timeoutMs`. */
export async function isAlive(_guest: QemuGuest, _timeoutMs: number): Promise<boolean> {
	throw new SternaError("internal", "asking a guest agent is not built yet");
}

/** Holds the writes of the guest's file systems. @throws when they are not held. */
export async function freeze(_guest: QemuGuest): Promise<void> {
	throw new SternaError("unavailable", "asking a guest agent is not built yet");
}

/** Lets the file systems go on. Not frozen: no change. */
export async function thaw(_guest: QemuGuest): Promise<void> {
	throw new SternaError("unavailable", "asking a guest agent is not built yet");
}
