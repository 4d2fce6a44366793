import { SternaError } from "@sterna/shared/errors";
import type { GuestId, VolumeId } from "@sterna/shared/ids";
import type { VolumeSeat } from "@sterna/shared/volume";
import type { ProcessReport, ProcessState } from "../hypervisor.ts";
import type { QmpClient } from "../qmp/client.ts";
import { diskNode } from "./block-nodes.ts";
import type { GuestPaths } from "./paths.ts";
import type { ProcessIdentity } from "./process.ts";
import { type GuestRecord, writeRecord } from "./record.ts";
import { SerialLine } from "./serial.ts";
import { processState } from "./state.ts";

/** One guest's running process, as one life of the driver knows it. */
export interface QemuGuest {
	readonly id: GuestId;
	readonly paths: GuestPaths;
	readonly process: ProcessIdentity;
	/** How the process ended; null when that cannot be told because an earlier life of the driver started it. */
	readonly exit: Promise<string> | null;
	/** Fulfilled when the process is gone and what belonged to it is cleaned up. */
	readonly gone: Promise<void>;
	record: GuestRecord;
	monitor: QmpClient;
	serial: SerialLine;
	/** Why the process will end, once that is decided here or by the guest: then its end is no crash. */
	expectedEnding: string | null;
	/** What listeners were told last. */
	toldState: ProcessState | null;
	/** What this life of the driver knows of a move off this host; null when none is under way. */
	move: SourceMove | null;
}

export interface SourceMove {
	/** The jobs that keep the target's volumes in sync. One that is missing at the switchover would be a lost write. */
	copies: Set<string>;
	/** The pause that was agreed, which the deadline of the switchover follows. Null until memory is being copied. */
	downtimeLimitMs: number | null;
}

/** A guest as one life of the driver begins to know it, with its serial line open. */
export function qemuGuest(
	what: Pick<QemuGuest, "id" | "paths" | "process" | "exit" | "gone" | "record" | "monitor">,
): QemuGuest {
	const { pid, startTicks } = what.process;
	const serial = new SerialLine(what.paths.serial, what.paths.serialLog);
	return { ...what, process: { pid, startTicks }, serial, expectedEnding: null, toldState: null, move: null };
}

/** The guest's name as errors say it. */
export function label(guest: { record: GuestRecord }): string {
	return `guest ${guest.record.spec.name}`;
}

/** Asks QEMU. Throws what the monitor throws. */
export async function reportOf(guest: QemuGuest): Promise<ProcessReport> {
	const { status } = await guest.monitor.execute("query-status", {});
	const state = processState(status, guest.record.incoming);
	return {
		guestId: guest.id,
		state: state === "poweredOff" ? "absent" : state,
		pid: guest.process.pid,
		accelerator: guest.record.accelerator,
		machine: guest.record.machine,
		ending: state === "poweredOff" ? poweredOffEnding : null,
		heldByStorage: status === "io-error" && guest.record.sources.length > 0,
		seats: seatsOf(guest.record),
	};
}

export function absentReport(guestId: GuestId, record: GuestRecord | null): ProcessReport {
	return {
		guestId,
		state: "absent",
		pid: null,
		accelerator: null,
		machine: record?.machine ?? null,
		ending: record?.ending ?? null,
		heldByStorage: false,
		seats: [],
	};
}

/**
 * What is known of a process that does not answer. It counts as running, or as loading when it is a target that was not
 * released: nobody has let its CPUs go.
 */
export function unheardReport(guestId: GuestId, process: ProcessIdentity, record: GuestRecord | null): ProcessReport {
	return {
		guestId,
		state: record?.incoming ? "loading" : "running",
		pid: process.pid,
		accelerator: record?.accelerator ?? null,
		machine: record?.machine ?? null,
		ending: null,
		heldByStorage: false,
		seats: record ? seatsOf(record) : [],
	};
}

export const poweredOffEnding = "the guest powered off";

/** Where the volume stands in the guest's spec. @throws {SternaError} `not_found` */
export function volumeIndex(guest: QemuGuest, volumeId: VolumeId): number {
	const index = guest.record.volumes.findIndex((volume) => volume.volumeId === volumeId);
	if (index === -1) throw new SternaError("not_found", `${label(guest)} has no volume ${volumeId}`);
	return index;
}

/**
 * The node of the volume in the guest's QEMU: the one place that knows it.
 * @throws {SternaError} `not_found`
 */
export function nodeOf(guest: QemuGuest, volumeId: VolumeId): string {
	const index = volumeIndex(guest, volumeId);
	return diskNode(index, guest.record.volumes[index]?.moves);
}

/** The volumes that do not sit where their place in the spec puts them. */
function seatsOf({ volumes }: GuestRecord): VolumeSeat[] {
	return volumes
		.filter(({ port, moves }) => port !== null || moves > 0)
		.map(({ volumeId, port, moves }) => ({ volumeId, port, moves }));
}

/** While the guest or one of its volumes is being copied, its disks stay as they are. @throws {SternaError} `wrong_state` */
export function refuseCopying(guest: QemuGuest, verb: string): void {
	if (guest.record.sources.length > 0) {
		throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: its volumes are not completely here yet`);
	}
	const what = guest.move ? "it is being moved" : guest.record.moving ? "one of its volumes is being moved" : null;
	if (what !== null) throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: ${what}`);
}

/** Stores what a later life of the driver must know; durable when fulfilled. */
export async function keepRecord(guest: QemuGuest, change: Partial<GuestRecord>): Promise<void> {
	const record = { ...guest.record, ...change };
	await writeRecord(guest.paths.record, record);
	guest.record = record;
}

/** Between the pause of a move, of the guest or a volume, and its end the CPUs are the move's alone. @throws {SternaError} `wrong_state` */
export function refuseWhileMoving(guest: QemuGuest, verb: string): void {
	const isChangingFiles = typeof guest.record.moving?.heldFrom === "string";
	if ((guest.move === null || guest.move.downtimeLimitMs === null) && !isChangingFiles) return;
	throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: it is being moved`);
}

/** @throws {SternaError} `wrong_state` */
export async function expectState(guest: QemuGuest, states: readonly ProcessState[], verb: string): Promise<void> {
	const { state } = await reportOf(guest);
	if (!states.includes(state)) throw new SternaError("wrong_state", `cannot ${verb} ${label(guest)}: it is ${state}`);
}
