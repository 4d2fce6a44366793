import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { QemuGuest } from "./guest.ts";
import { lastWords } from "./launch.ts";
import type { GuestPaths } from "./paths.ts";
import { type GuestRecord, writeRecord } from "./record.ts";
import { removeTap } from "./tap.ts";

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
	await writeRecord(paths.record, record).catch(() => undefined);
}
