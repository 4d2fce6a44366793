import type { VolumeId } from "@sterna/shared/ids";
import type { VolumeSeat } from "@sterna/shared/volume";
import type { CommandArguments } from "../qmp/generated/schema.ts";
import { diskNode, fileNode } from "./block-nodes.ts";

/** Slot of the root bus for the first volume of the spec; the others follow. */
export const firstDiskSlot = 0xb;

type BlockNode = CommandArguments["blockdev-add"];

/** The volume's seat; the one of its place in the spec when none is listed. */
export function seatIn(seats: readonly VolumeSeat[], volumeId: VolumeId): VolumeSeat {
	return seats.find((seat) => seat.volumeId === volumeId) ?? { volumeId, port: null, moves: 0 };
}

/**
 * The two block nodes of a volume, in the order in which they are made: at the start as later. Direct where the filesystem
 * can, because a cached page on the host that a guest left would be stale when it comes back. Volumes stand alone: a
 * backing file that somebody wrote into the header is not opened.
 */
export function volumeNodes({ node, path, directIo }: { node: string; path: string; directIo: boolean }): BlockNode[] {
	const file = fileNode(node);
	return [
		{
			driver: "file",
			"node-name": file,
			filename: path,
			discard: "unmap",
			cache: { direct: directIo, "no-flush": false },
		},
		{ driver: "qcow2", "node-name": node, discard: "unmap", "detect-zeroes": "unmap", backing: null, file },
	];
}

/** The device by which the guest sees the volume at `index` of its spec. */
export function diskDevice(index: number, { port, moves }: Pick<VolumeSeat, "port" | "moves">) {
	return {
		driver: "virtio-blk-pci",
		id: `vd${index}`,
		drive: diskNode(index, moves),
		bus: port === null ? "pcie.0" : `port${port}`,
		addr: port === null ? `0x${(firstDiskSlot + index).toString(16)}` : "0x0",
	};
}
