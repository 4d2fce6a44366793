import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { CommandReturns } from "../qmp/generated/schema.ts";
import { cancelCopies } from "./disk-copy.ts";
import { label, type QemuGuest } from "./guest.ts";
import { renewBitmaps } from "./renew-bitmaps.ts";
import { yank } from "./yank.ts";

type Status = NonNullable<CommandReturns["query-migrate"]["status"]>;

/** A monitor that is not held by a dead link answers within this, also on a busy host. Meanwhile the guest may stand. */
const promptMs = 500;

const ended: readonly Status[] = ["none", "cancelled", "failed", "completed"];

/**
 * The way back of a move, whatever state it is in: memory first (its last write may hold the monitor's lock), then the
 * disks, then the CPUs. On success the guest runs here.
 * @throws {SternaError} `timeout`, `unavailable` when QEMU cannot be brought to it.
 */
export async function cancelMove(guest: QemuGuest): Promise<void> {
	await endMemoryCopy(guest);
	await cancelCopies(guest);
	guest.move = null;
	await makeRun(guest);
	await renewBitmaps(guest);
}

async function endMemoryCopy(guest: QemuGuest): Promise<void> {
	const status = await migrationStatus(guest, promptMs);
	if (status !== null && ended.includes(status)) return;
	if (status !== null && (await cancels(guest)) && (await waitForEnd(guest, 2000))) return;
	// Silent, or cancelling without end: it writes to a link that is dead.
	const cut = await yank(guest, [{ type: "migration" }]).then(
		() => ({}),
		// Nothing to cut when it ended by itself in the meantime.
		(cause: unknown) => ({ cause }),
	);
	if (await waitForEnd(guest, 5000)) return;
	throw new SternaError("timeout", `the move of ${label(guest)} could not be ended`, cut);
}

/** False when the monitor does not hear it soon. */
function cancels(guest: QemuGuest): Promise<boolean> {
	return guest.monitor.execute("migrate_cancel", {}, { timeoutMs: promptMs }).then(
		() => true,
		() => false,
	);
}

async function waitForEnd(guest: QemuGuest, deadlineMs: number): Promise<boolean> {
	const deadline = Date.now() + deadlineMs;
	for (;;) {
		const status = await migrationStatus(guest);
		if (status !== null && ended.includes(status)) return true;
		if (Date.now() > deadline) return false;
		await delay(10);
	}
}

/** Null when the monitor does not say. */
async function migrationStatus(guest: QemuGuest, timeoutMs?: number): Promise<Status | null> {
	try {
		return (await guest.monitor.execute("query-migrate", {}, timeoutMs ? { timeoutMs } : {})).status ?? "none";
	} catch {
		if (guest.monitor.closed) throw guest.monitor.closed;
		return null;
	}
}

/** QEMU resumes by itself after most failures, but not after all, and not at once. */
async function makeRun(guest: QemuGuest): Promise<void> {
	const deadline = Date.now() + 5000;
	for (;;) {
		const { status, running } = await guest.monitor.execute("query-status", {});
		if (running) return;
		if (Date.now() > deadline) {
			throw new SternaError(
				"timeout",
				`${label(guest)} is ${status} after its move was cancelled and does not run again`,
			);
		}
		// Refused while the last of the migration is put away: asked again until it is.
		if (status !== "finish-migrate") await guest.monitor.execute("cont", {}).catch(() => undefined);
		await delay(10);
	}
}
