import { SternaError } from "@sterna/shared/errors";
import type { MoveVolume } from "../hypervisor.ts";
import type { QemuGuest } from "./guest.ts";

/** Copies a volume to another place and goes on there; `guest` is null when it has no process. */
export async function moveVolume(
	_img: string,
	_guest: QemuGuest | null,
	_request: MoveVolume,
	_signal: AbortSignal,
): Promise<void> {
	throw new SternaError("internal", "moving a volume is not built yet");
}
