import { SternaError } from "@sterna/shared/errors";
import type { GrowVolume } from "../hypervisor.ts";
import { label, nodeOf, type QemuGuest, refuseCopying } from "./guest.ts";
import { expectPlainDisks } from "./snapshot-nodes.ts";
import { syncFile } from "./sync-file.ts";
import { runTool } from "./tool.ts";
import { checkSize, inconsistentBitmaps, inspectVolume } from "./volumes.ts";

/**
 * How long qemu-img may have a volume's file open for writing. Killed while it has, it leaves the bitmaps marked as in use, and
 * the next backup reads everything: on a disk that stands for minutes, waiting is cheaper. It only changes what describes the
 * volume, so that longer than this the disk is not slow but gone.
 */
const toolMs = 30 * 60_000;
/** The monitor is only waited for: QEMU goes on with what it was told, and its file says later how that ended. */
const monitorMs = 30_000;

/**
 * Makes a volume larger; `guest` is null when it has no process, and the file is nobody's. What is tracked of its changes
 * is tracked on: QEMU grows the bitmaps in the file with it. Bitmaps that cannot be trusted any more keep QEMU from doing
 * so, and are removed first.
 * @throws {SternaError} `invalid` for a smaller size, `not_found`, `wrong_state` while the volume is being copied.
 */
export async function growVolume(img: string, guest: QemuGuest | null, request: GrowVolume): Promise<void> {
	checkSize(request.sizeBytes);
	if (guest === null) await growFile(img, request);
	else await growRunning(guest, request);
}

async function growFile(img: string, request: GrowVolume): Promise<void> {
	const { volumeId, path, sizeBytes } = request;
	const present = await inspectVolume(img, request);
	if (!present.exists) throw new SternaError("not_found", `the volume ${volumeId} is not there`);
	if (!grows(request, present.sizeBytes)) return;
	const purpose = `grow the volume ${volumeId}`;
	for (const name of await inconsistentBitmaps(img, request)) {
		const args = ["bitmap", "--remove", "-f", "qcow2", path, name];
		await runTool({ program: img, arguments: args, timeoutMs: toolMs, purpose });
	}
	const args = ["resize", "-q", "-f", "qcow2", path, String(sizeBytes)];
	await runTool({ program: img, arguments: args, timeoutMs: toolMs, purpose });
	await syncFile(path);
}

async function growRunning(guest: QemuGuest, request: GrowVolume): Promise<void> {
	const { monitor } = guest;
	refuseCopying(guest, "grow a volume of");
	await expectPlainDisks(guest, "grow a volume of");
	const node = nodeOf(guest, request.volumeId);
	const nodes = await monitor.execute("query-named-block-nodes", { flat: true }, { timeoutMs: monitorMs });
	const present = nodes.find((candidate) => candidate["node-name"] === node);
	if (!present) throw new SternaError("internal", `QEMU of ${label(guest)} has no volume ${request.volumeId}`);
	if (!grows(request, present.image["virtual-size"])) return;
	for (const { name, inconsistent } of present["dirty-bitmaps"] ?? []) {
		if (inconsistent && name !== undefined) await monitor.execute("block-dirty-bitmap-remove", { node, name });
	}
	await monitor.execute("block_resize", { "node-name": node, size: request.sizeBytes }, { timeoutMs: monitorMs });
}

/** False when it has that size already. @throws {SternaError} `invalid` */
function grows({ volumeId, sizeBytes }: GrowVolume, presentBytes: number): boolean {
	if (sizeBytes === presentBytes) return false;
	if (sizeBytes > presentBytes) return true;
	throw new SternaError(
		"invalid",
		`the volume ${volumeId} has ${presentBytes} bytes; it cannot shrink to ${sizeBytes}: what lies behind would be lost`,
		{ cure: "make a smaller volume and copy what is needed inside the guest" },
	);
}
