import type { GuestId, HostId } from "@sterna/shared/ids";
import type { Output } from "@sterna/shared/protocol/commands";

type SerialItem = Output<"guest.serialOutput">;

/** What following needs from outside. */
export interface SerialSource {
	/** The host that the guest is on by its grant; null when the guest is gone. */
	ownerOf(guestId: GuestId): { hostId: HostId; connected: boolean; running: boolean } | null;
	/** Streams the log on that host until the guest has left or stopped and all is sent. */
	stream(hostId: HostId, fromOffset: number, onItem: (item: SerialItem) => void, signal: AbortSignal): Promise<void>;
	/** Fulfilled when something about the guest or its host changed, or after a while. */
	change(signal: AbortSignal): Promise<void>;
}

/**
 * A guest's serial output as one stream, over restarts and moves, without losing or repeating a byte: the log of a host is
 * read to its end before the log of the next host is read from its beginning.
 */
export async function followSerial(
	guestId: GuestId,
	source: SerialSource,
	write: (data: Buffer) => void,
	signal: AbortSignal,
): Promise<void> {
	let place: { hostId: HostId | null; offset: number } = { hostId: null, offset: 0 };
	while (!signal.aborted) {
		const owner = source.ownerOf(guestId);
		if (!owner) return;
		if (place.hostId !== owner.hostId) place = { hostId: owner.hostId, offset: 0 };
		if (owner.connected) {
			const before = place.offset;
			const take = ({ offset, data }: SerialItem) => {
				const bytes = Buffer.from(data, "base64");
				// Not offset + length of ours: a log that was cut off at its limit begins anew.
				place.offset = offset + bytes.length;
				if (bytes.length > 0) write(bytes);
			};
			try {
				await source.stream(owner.hostId, place.offset, take, signal);
			} catch {
				// The host was lost or does not have the guest (any more): what it is now decides where to go on.
			}
			const now = source.ownerOf(guestId);
			if (now?.hostId !== place.hostId || (now.running && place.offset !== before)) continue;
		}
		if (!signal.aborted) await source.change(signal);
	}
}
