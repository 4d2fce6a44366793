import { SternaError } from "@sterna/shared/errors";
import type { GrowVolume } from "../hypervisor.ts";
import type { QemuGuest } from "./guest.ts";

/** Makes a volume larger; `guest` is null when it has no process. */
export async function growVolume(_img: string, _guest: QemuGuest | null, _request: GrowVolume): Promise<void> {
	throw new SternaError("internal", "growing a volume is not built yet");
}
