import type { VolumeMove } from "@sterna/shared/volume";
import { Meter } from "../ui/meter.tsx";
import { amountOf } from "./words.ts";

/** How far a disk is on its way to another pool. */
export function MovingDisk({ move }: { move: VolumeMove }) {
	const { toPool, copiedBytes, totalBytes } = move;
	const share = totalBytes === 0 ? null : Math.min(1, copiedBytes / totalBytes);
	return (
		<Meter
			className="mt-1.5"
			label={`Moving to ${toPool}`}
			share={share}
			text={share === null ? "beginning" : `${Math.floor(share * 100)} %, ${amountOf(copiedBytes, totalBytes)}`}
			tone="accent"
		/>
	);
}
