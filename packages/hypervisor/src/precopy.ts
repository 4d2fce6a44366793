import type { Accelerator } from "@sterna/shared/guest";

/**
 * Whether live migration keeps a guest's memory intact on this QEMU. Before release 9.0 software emulation loses track
 * of written pages ("physmem: fix migration dirty bitmap coherency with TCG memory access"): the guest dies after the
 * move. Both ends matter only as sources; a plan asks for the source, and for the target too because of the way back.
 */
export function precopyIsSafe(qemuVersion: string, accelerator: Accelerator): boolean {
	if (accelerator !== "tcg") return true;
	const major = Number.parseInt(qemuVersion, 10);
	return Number.isInteger(major) && major >= 9;
}
