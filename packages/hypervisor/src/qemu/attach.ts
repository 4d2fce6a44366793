import { SternaError } from "@sterna/shared/errors";
import type { VolumeLocation } from "../hypervisor.ts";
import type { QemuGuest } from "./guest.ts";

/** Gives a running guest one more disk; `guest` is null when it has no process. */
export async function attachVolume(_guest: QemuGuest | null, _location: VolumeLocation): Promise<void> {
	throw new SternaError("internal", "attaching a volume is not built yet");
}
