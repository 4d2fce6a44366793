import { remainingMs } from "@sterna/migration/estimate";
import type { MigrationReport } from "@sterna/shared/migration";
import type { Inventory, MoveEntry } from "../inventory/inventory.ts";
import type { MovingView } from "../views-guests.ts";
import type { MigrationRow, MigrationView } from "../views-migrations.ts";
import { refuseCancel } from "./driver.ts";

/**
 * How far the move is, 0 to 1, by bytes: disks first, then memory; the hand-over is the last hundredth. While the size of
 * memory has not been reported, disks are half of it: a share of an unknown whole would stand near the end and jump back.
 */
export function progressOf(report: MigrationReport | null): number {
	if (!report) return 0;
	if (report.state === "completed") return 1;
	const { disk, memory, phase } = report;
	if (phase === "handOver" || phase === "retireSource") return 0.99;
	const diskBytes = disk?.totalBytes ?? 0;
	const diskDone = disk ? Math.min(disk.transferredBytes, disk.totalBytes) : 0;
	if (!memory) return diskBytes === 0 ? 0 : diskDone / diskBytes / 2;
	const total = diskBytes + memory.totalBytes;
	if (total === 0) return 0;
	const memoryDone = memory.totalBytes - Math.min(memory.remainingBytes, memory.totalBytes);
	// Before the memory copy begins nothing of it is done, whatever "remaining" says.
	const counted = phase === "copyMemory" || phase === "switchOver" ? memoryDone : 0;
	return Math.min(0.98, (diskDone + counted) / total);
}

/** What is left by the present speed; null while that is not known. */
export function remainingOf(move: MoveEntry, now: number): number | null {
	const { report } = move;
	if (!report || move.endedAt !== null) return move.endedAt === null ? null : 0;
	if (report.phase === "copyMemory" && report.memory) {
		return remainingMs({ ...report.memory, expectedDowntimeMs: report.predictedDowntimeMs });
	}
	if (!report.memory) return null;
	const progress = progressOf(report);
	return progress > 0.05 ? Math.round(((now - move.startedAt) * (1 - progress)) / progress) : null;
}

export function migrationRow(move: MoveEntry, inventory: Inventory, now = Date.now()): MigrationRow {
	return {
		id: move.id,
		guest: { id: move.guestId, name: move.guestName },
		source: { id: move.sourceHostId, name: inventory.hostName(move.sourceHostId) },
		target: { id: move.targetHostId, name: inventory.hostName(move.targetHostId) },
		state: move.state,
		phase: move.phase,
		progress: move.state === "completed" ? 1 : progressOf(move.report),
		remainingMs: remainingOf(move, now),
		startedAt: move.startedAt,
		endedAt: move.endedAt,
		measuredDowntimeMs: move.report?.measuredDowntimeMs ?? null,
		requestedBy: move.requestedBy,
		evacuationId: move.evacuationId,
		errorMessage: move.error?.message ?? null,
	};
}

export function migrationView(move: MoveEntry, inventory: Inventory, now = Date.now()): MigrationView {
	return {
		...migrationRow(move, inventory, now),
		report: move.report,
		cancelRefusal:
			move.cancelRequested && move.endedAt === null ? "it is being called back already" : refuseCancel(move),
		maxDowntimeMs: move.options.maxDowntimeMs,
		autoConverge: move.options.autoConverge,
	};
}

export function movingView(move: MoveEntry, inventory: Inventory, now: number): MovingView {
	return {
		migrationId: move.id,
		target: { id: move.targetHostId, name: inventory.hostName(move.targetHostId) },
		phase: move.phase,
		progress: progressOf(move.report),
		remainingMs: remainingOf(move, now),
	};
}
