import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import { readJsonFile, type SimulatedGuest, SimulatedVolume, writeJsonFile } from "./record.ts";
import type { CopyConnection } from "./wire.ts";

/** A source that says nothing for so long is gone; the next one may connect. */
const silenceMs = 120_000;

/** Takes the guest's memory; `onLoaded` gets its count, and the source its receipt after that. */
export async function serveMemory(
	connection: CopyConnection,
	guestId: GuestId,
	onLoaded: (count: number) => Promise<void>,
): Promise<void> {
	const first = await connection.next({ timeoutMs: silenceMs });
	if (first.type !== "memory" || first.guestId !== guestId) {
		throw new SternaError("invalid", `this is not the memory of guest ${guestId}`);
	}
	for (;;) {
		const message = await connection.next({ timeoutMs: silenceMs });
		if (message.type !== "lastPages") continue;
		await onLoaded(message.count);
		await connection.send({ type: "received" });
		return;
	}
}

/** Takes the content of one volume, as often as the source sends it. */
export async function serveDisk(connection: CopyConnection, guest: SimulatedGuest): Promise<void> {
	const first = await connection.next({ timeoutMs: silenceMs });
	const volumeId = first.type === "disk" && guest.copiedVolumes.includes(first.volumeId) ? first.volumeId : null;
	const location = guest.volumes.find((volume) => volume.volumeId === volumeId);
	const volume = location ? await readJsonFile(location.path, SimulatedVolume) : null;
	if (!location || !volume) throw new SternaError("not_found", "no such volume is waiting for a copy");
	for (;;) {
		const message = await connection.next({ timeoutMs: silenceMs });
		if (message.type !== "diskContent") continue;
		await writeJsonFile(location.path, { ...volume, count: message.count });
		await connection.send({ type: "received" });
	}
}
