import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { GuestId } from "@sterna/shared/ids";
import type { ProcessReport } from "../hypervisor.ts";
import { absentReport, type QemuGuest } from "./guest.ts";
import { lastWords } from "./launch.ts";
import type { GuestPaths } from "./paths.ts";
import { type GuestRecord, readRecord, writeRecord } from "./record.ts";
import { removeTap } from "./tap.ts";
import { settleFiles } from "./volume-copy.ts";

/** As much as can be known of a process that ended: its exit when this life of the driver started it, and its last words. */
export async function howItEnded(guest: QemuGuest): Promise<string> {
	const exit = await Promise.race([guest.exit, delay(1000).then(() => null)]);
	const words = await lastWords(guest.paths);
	return [exit ?? "the process is gone", words].filter((part) => part !== "").join(": ");
}

/** After a process's end. Best effort: what cannot be removed is replaced at the next start. */
export async function cleanUp(paths: GuestPaths, record: GuestRecord): Promise<void> {
	for (const tap of record.taps) if (tap !== null) await removeTap(tap).catch(() => undefined);
	await rm(paths.socketFolder, { recursive: true, force: true }).catch(() => undefined);
	// What cannot be deleted now is when the guest is started again, or its volume moved.
	const settled = await settleFiles(record).catch(() => record);
	await writeRecord(paths.record, settled).catch(() => undefined);
}

/** Cleans up after a process that ended while no agent looked, and says so; null when its end is known already. */
export async function foundEnded(id: GuestId, paths: GuestPaths): Promise<ProcessReport | null> {
	const record = await readRecord(paths.record);
	if (record === null || record.ending !== null) return null;
	const ending = `it ended while no agent looked: ${(await lastWords(paths)) || "QEMU said nothing"}`;
	await cleanUp(paths, { ...record, ending });
	return absentReport(id, { ...record, ending });
}
