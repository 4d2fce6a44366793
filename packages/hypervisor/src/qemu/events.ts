import { printable } from "@sterna/shared/names";
import type { HypervisorEvent } from "../hypervisor.ts";
import type { QmpEvent } from "../qmp/generated/schema.ts";
import { indexIn } from "./block-nodes.ts";
import type { QemuGuest } from "./guest.ts";

/**
 * What an event of QEMU's monitor is in the contract's words. `askState`: the state may be another now. Null: it means
 * nothing to an agent, as all that the host itself caused.
 */
export function translate(
	guest: Pick<QemuGuest, "id" | "record">,
	event: QmpEvent,
): HypervisorEvent | "askState" | null {
	switch (event.event) {
		case "SHUTDOWN":
			return event.data.guest ? { type: "poweredOff", guestId: guest.id } : null;
		case "RESET":
			return event.data.guest ? { type: "rebooted", guestId: guest.id } : null;
		case "BLOCK_IO_ERROR":
			return diskError(guest, event.data);
		case "STOP":
		case "RESUME":
		case "MIGRATION":
			return "askState";
		default:
			return null;
	}
}

function diskError(
	guest: Pick<QemuGuest, "id" | "record">,
	data: Extract<QmpEvent, { event: "BLOCK_IO_ERROR" }>["data"],
): HypervisorEvent | null {
	const node = data["node-name"] ?? "";
	// While a job runs the guest's device may be on a node of QEMU's own naming; the device is always the same.
	const device = /^\/machine\/peripheral\/vd(\d+)\//.exec(data["qom-path"])?.[1];
	// An error of a migration's copy is the target's trouble, and ends the copy by itself.
	const index = device === undefined && node.startsWith("disk") ? indexIn(node) : Number(device ?? -1);
	const volume = guest.record.volumes[index ?? -1];
	if (!volume) return null;
	// It waits until it is resumed: its own file may have failed too, but then it does so again.
	const isHeld = data.action === "stop" && !data.nospace;
	if (isHeld && guest.record.sources.some(({ volumeId }) => volumeId === volume.volumeId)) {
		return { type: "heldByStorage", guestId: guest.id, volumeId: volume.volumeId };
	}
	const operation = data.operation === "read" ? "read" : "write";
	return { type: "diskError", guestId: guest.id, volumeId: volume.volumeId, operation, text: printable(data.reason) };
}
