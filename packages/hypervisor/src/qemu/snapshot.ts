import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type { EndSnapshot, SnapshotReport, TakeSnapshot } from "../hypervisor.ts";
import type { QemuOptions } from "./driver.ts";
import type { QemuGuest } from "./guest.ts";

/** Opens one instant of the volumes for reading; `guest` is null when it has no process. */
export async function takeSnapshot(
	_options: QemuOptions,
	_guest: QemuGuest | null,
	_request: TakeSnapshot,
): Promise<SnapshotReport> {
	throw new SternaError("internal", "taking a snapshot is not built yet");
}

/** False when a block of the instant was lost. */
export async function isSnapshotWhole(
	_options: QemuOptions,
	_guest: QemuGuest | null,
	_guestId: GuestId,
): Promise<boolean> {
	throw new SternaError("internal", "looking at a snapshot is not built yet");
}

/** Ends the snapshot, also one of an earlier life. */
export async function endSnapshot(
	_options: QemuOptions,
	_guest: QemuGuest | null,
	_request: EndSnapshot,
): Promise<void> {
	throw new SternaError("internal", "ending a snapshot is not built yet");
}
