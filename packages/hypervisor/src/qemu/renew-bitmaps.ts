import { setTimeout as delay } from "node:timers/promises";
import type { ChangeBitmap } from "../hypervisor.ts";
import { type BitmapAction, readBlockNodes, runTransaction, trackingIn } from "./bitmaps.ts";
import { nodeOf, type QemuGuest } from "./guest.ts";

type Bitmap = Pick<ChangeBitmap, "name" | "granularityBytes" | "recording">;

/** A bitmap that stands in for the one it is named after. */
const standIn = "-kept";
const busyMs = 2000;

/**
 * Makes the bitmaps of a guest anew that stays here after a move was begun. QEMU marks bitmaps that it sends as not to be
 * stored in their files, and a move that ends in any other way than by leaving does not take that back
 * (migration/block-dirty-bitmap.c of 10.0): they would record on, and be gone when the guest is stopped. Each is merged
 * into a stand-in that begins first, so that no write is missed. Repeatable from wherever it was interrupted.
 *
 * Best effort: a bitmap that is lost costs the next backup a whole read, and nothing else.
 */
export async function renewBitmaps(guest: QemuGuest): Promise<void> {
	const deadline = Date.now() + busyMs;
	while (!(await tryToRenew(guest).catch(() => false))) {
		// The last of the move is put away after its end is told; until then they are busy.
		if (Date.now() > deadline || guest.monitor.closed) return;
		await delay(50);
	}
}

async function tryToRenew(guest: QemuGuest): Promise<true> {
	const { monitor } = guest;
	const nodes = await readBlockNodes(monitor);
	for (const { volumeId } of guest.record.volumes) {
		const node = nodeOf(guest, volumeId);
		const bitmaps = trackingIn(nodes, volumeId, node).bitmaps.filter(({ inconsistent }) => !inconsistent);
		const standIns = bitmaps.filter(({ name }) => name.endsWith(standIn));
		const originals = bitmaps.filter(({ name }) => !name.endsWith(standIn));
		for (const bitmap of originals) {
			const kept = `${bitmap.name}${standIn}`;
			// Of a try that did not come as far as to remove the first.
			const isLeft = standIns.some(({ name }) => name === kept);
			if (isLeft) await monitor.execute("block-dirty-bitmap-remove", { node, name: kept });
			await runTransaction(monitor, copyOf(node, bitmap, kept));
			await monitor.execute("block-dirty-bitmap-remove", { node, name: bitmap.name });
			await takeBack(guest, node, { ...bitmap, name: kept });
		}
		for (const kept of standIns) {
			const isDone = originals.some(({ name }) => `${name}${standIn}` === kept.name);
			if (!isDone) await takeBack(guest, node, kept);
		}
	}
	return true;
}

/** The stand-in becomes what it stands for. */
function takeBack({ monitor }: QemuGuest, node: string, kept: Bitmap): Promise<void> {
	return runTransaction(monitor, [
		...copyOf(node, kept, kept.name.slice(0, -standIn.length)),
		{ type: "block-dirty-bitmap-remove", data: { node, name: kept.name } },
	]);
}

function copyOf(node: string, { name, granularityBytes, recording }: Bitmap, target: string): BitmapAction[] {
	const begun = { node, name: target, granularity: granularityBytes, persistent: true, disabled: !recording };
	return [
		{ type: "block-dirty-bitmap-add", data: begun },
		{ type: "block-dirty-bitmap-merge", data: { node, target, bitmaps: [name] } },
	];
}
