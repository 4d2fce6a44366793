import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import type { CopyMemory, MemoryProgress } from "../hypervisor.ts";
import { eventTimeMs } from "../qmp/client.ts";
import type { CommandReturns } from "../qmp/generated/schema.ts";
import { removeUntrusted } from "./bitmaps.ts";
import { giveTo } from "./confinement.ts";
import { copyFailureIn, drainCopies } from "./disk-copy.ts";
import { label, type QemuGuest, type SourceMove } from "./guest.ts";
import { checkSocketPath } from "./paths.ts";
import { expectPlainDisks } from "./snapshot-nodes.ts";

type MigrateInfo = CommandReturns["query-migrate"];
type MigrationStatus = NonNullable<MigrateInfo["status"]>;

const sampleEveryMs = 250;
/** No byte left for so long: the link is dead, whatever TCP still hopes for. */
const stalledAfterMs = 10_000;
/** A whole pre-copy; convergence is decided by the policy behind `onProgress`, this only bounds a policy that never decides. */
const copyDeadlineMs = 24 * 3600_000;
/** Beyond the agreed pause itself: device state, the answer on the return path, a slow host. */
const switchOverSlackMs = 5000;

export const migrationCapabilities = [
	"events",
	"return-path",
	"pause-before-switchover",
	"auto-converge",
	"dirty-bitmaps",
] as const;

/**
 * Pre-copy until the guest is paused with its last pages ready to go. On failure the guest runs on here.
 * @throws {SternaError} `cancelled`, `unavailable` (target or link lost), `timeout`, `wrong_state`
 */
export async function copyMemory(
	guest: QemuGuest,
	copy: CopyMemory,
	signal: AbortSignal,
): Promise<{ pausedAt: number }> {
	checkSocketPath(copy.socket);
	await expectPlainDisks(guest, "move");
	await giveTo(guest.record.uid, copy.socket);
	const move: SourceMove = { copies: guest.move?.copies ?? new Set(), downtimeLimitMs: copy.downtimeLimitMs };
	guest.move = move;
	await setUp(guest, copy.downtimeLimitMs);
	const { monitor } = guest;
	const stopped = { at: 0 };
	const reached = monitor.waitFor(
		(event) => {
			const failure = copyFailureIn(guest, event);
			if (failure) throw failure;
			if (event.event === "STOP") stopped.at = eventTimeMs(event);
			if (event.event !== "MIGRATION") return undefined;
			return endedWith(guest, event.data.status) ?? (event.data.status === "pre-switchover" ? "ready" : undefined);
		},
		{ timeoutMs: copyDeadlineMs, reason: "copy its memory", signal },
	);
	const sampling = new AbortController();
	try {
		signal.throwIfAborted();
		await monitor.execute("migrate", { uri: `unix:${copy.socket}` });
		const end = await Promise.race([reached.value, sample(guest, move, copy, sampling.signal)]);
		if (end instanceof SternaError) throw await explained(guest, end);
		return { pausedAt: stopped.at || Date.now() };
	} catch (error) {
		if (signal.aborted)
			throw new SternaError("cancelled", `the move of ${label(guest)} was cancelled`, { cause: error });
		throw error;
	} finally {
		sampling.abort();
		reached.stop();
	}
}

/**
 * Drains the disk copies, then sends the last pages and the devices. On failure the guest stands paused or runs here;
 * `cancelMigration` makes sure that it runs.
 */
export async function switchOver(guest: QemuGuest, signal: AbortSignal): Promise<void> {
	const { monitor, move } = guest;
	if (move === null || move.downtimeLimitMs === null) {
		throw new SternaError("wrong_state", `${label(guest)} is not being moved`);
	}
	await drainCopies(guest, move, signal);
	const timeoutMs = switchOverSlackMs + 2 * move.downtimeLimitMs;
	const sent = monitor.waitFor(
		(event) => {
			if (event.event !== "MIGRATION") return undefined;
			return event.data.status === "completed" ? "completed" : endedWith(guest, event.data.status);
		},
		{ timeoutMs, reason: "send its last pages", signal },
	);
	try {
		await monitor.execute("migrate-continue", { state: "pre-switchover" });
		const end = await sent.value;
		if (end instanceof SternaError) throw await explained(guest, end);
		await expectPutAway(guest, timeoutMs);
	} finally {
		sent.stop();
	}
}

/**
 * QEMU tells `completed` before it puts the guest away, and between the two it answers questions (migration.c of 10.0:
 * `migration_completion`, then `migration_iteration_finish` under the lock taken anew).
 */
async function expectPutAway(guest: QemuGuest, timeoutMs: number): Promise<void> {
	const deadline = Date.now() + timeoutMs;
	for (;;) {
		const { status } = await guest.monitor.execute("query-status", {});
		if (status === "postmigrate") return;
		if (status !== "finish-migrate" || Date.now() > deadline) {
			throw new SternaError("internal", `${label(guest)} was sent completely, but QEMU says that it is ${status}`);
		}
		await delay(5);
	}
}

async function setUp(guest: QemuGuest, downtimeLimitMs: number): Promise<void> {
	const { monitor } = guest;
	const { status } = await monitor.execute("query-status", {});
	if (status !== "running")
		throw new SternaError("wrong_state", `${label(guest)} is ${status}; only a running guest is moved`);
	await removeUntrusted(guest);
	await monitor.execute("migrate-set-capabilities", {
		capabilities: migrationCapabilities.map((capability) => ({ capability, state: true })),
	});
	// Capabilities cannot change under way: throttling is on from the start, held at one per cent until it is asked for.
	await monitor.execute("migrate-set-parameters", {
		"downtime-limit": downtimeLimitMs,
		"max-bandwidth": 10 * 1024 ** 3,
		"throttle-trigger-threshold": 100,
		"cpu-throttle-initial": 1,
		"cpu-throttle-increment": 1,
		"max-cpu-throttle": 1,
	});
}

/** Looks at the copying until it is told to stop; ends only by throwing. */
async function sample(guest: QemuGuest, move: SourceMove, copy: CopyMemory, stop: AbortSignal): Promise<never> {
	let transferred = -1;
	let grewAt = Date.now();
	for (;;) {
		await pause(sampleEveryMs, stop);
		if (stop.aborted) return never();
		const info = await guest.monitor.execute("query-migrate", {}, { timeoutMs: stalledAfterMs });
		if (stop.aborted) return never();
		const progress = progressOf(info);
		if (progress === null) continue;
		if (progress.transferredBytes > transferred) {
			transferred = progress.transferredBytes;
			grewAt = Date.now();
		} else if (Date.now() - grewAt > stalledAfterMs) {
			throw new SternaError("unavailable", `no memory of ${label(guest)} went over for ${stalledAfterMs} ms`, {
				cure: "look at the network between the two hosts",
			});
		}
		const steering = copy.onProgress(progress);
		if (steering === undefined) continue;
		if ("abandon" in steering) throw new SternaError("wrong_state", steering.abandon);
		if ("throttle" in steering) {
			await guest.monitor.execute("migrate-set-parameters", {
				"throttle-trigger-threshold": 50,
				"cpu-throttle-increment": 30,
				"max-cpu-throttle": 90,
			});
		} else {
			await guest.monitor.execute("migrate-set-parameters", { "downtime-limit": steering.downtimeLimitMs });
			move.downtimeLimitMs = steering.downtimeLimitMs;
		}
	}
}

function progressOf(info: MigrateInfo): MemoryProgress | null {
	const { ram } = info;
	if (!ram) return null;
	return {
		totalBytes: ram.total,
		transferredBytes: ram.transferred,
		remainingBytes: ram.remaining,
		passes: ram["dirty-sync-count"],
		dirtyBytesPerSecond: ram["dirty-pages-rate"] * ram["page-size"],
		bytesPerSecond: (ram.mbps * 1_000_000) / 8,
		expectedDowntimeMs: ram["dirty-sync-count"] > 1 ? (info["expected-downtime"] ?? null) : null,
	};
}

function endedWith(guest: QemuGuest, status: MigrationStatus): SternaError | undefined {
	if (status === "failed") return new SternaError("unavailable", `the move of ${label(guest)} failed`);
	if (status === "cancelled" || status === "cancelling") {
		return new SternaError("cancelled", `the move of ${label(guest)} was cancelled`);
	}
	return undefined;
}

/** The same error with QEMU's own reason, when it gives one. */
async function explained(guest: QemuGuest, error: SternaError): Promise<SternaError> {
	const info = await guest.monitor.execute("query-migrate", {}).catch(() => null);
	const reason = info?.["error-desc"];
	return reason ? new SternaError(error.code, `${error.message}: ${reason}`, { cause: error }) : error;
}

function pause(durationMs: number, stop: AbortSignal): Promise<void> {
	return new Promise((fulfil) => {
		const finish = () => {
			clearTimeout(timer);
			stop.removeEventListener("abort", finish);
			fulfil();
		};
		const timer = setTimeout(finish, durationMs);
		stop.addEventListener("abort", finish);
	});
}

/** The race that this belongs to is over. */
function never(): Promise<never> {
	return new Promise(() => undefined);
}
