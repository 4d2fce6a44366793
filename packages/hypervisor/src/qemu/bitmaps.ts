import { SternaError } from "@sterna/shared/errors";
import type { VolumeLocation, VolumeTracking } from "../hypervisor.ts";
import type { QemuOptions } from "./driver.ts";
import type { QemuGuest } from "./guest.ts";

/** What is tracked of the volumes' changes: asked of the running guest, or of the files when `guest` is null. */
export async function changeTracking(
	_options: QemuOptions,
	_guest: QemuGuest | null,
	_volumes: readonly VolumeLocation[],
): Promise<VolumeTracking[]> {
	throw new SternaError("internal", "telling what is tracked of volumes is not built yet");
}
