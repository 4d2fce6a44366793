import type { ProcessReport } from "@sterna/hypervisor/hypervisor";
import type { OwnershipRecord } from "@sterna/migration/ownership-record";
import type { GuestReport, GuestState } from "@sterna/shared/guest";
import type { HostId, MigrationId } from "@sterna/shared/ids";
import { lackingRemark } from "./lacking.ts";
import type { KnownGuest } from "./store.ts";

/** What a guest is doing that its process does not show. */
export type Transient = "starting" | "stopping" | null;

export interface Sight {
	guest: KnownGuest;
	process: ProcessReport | null;
	transient: Transient;
	/** This boot of the server. */
	bootId: string;
}

/** A guest as its host reports it; null when nothing of it is here any more. Pure. */
export function viewGuest(sight: Sight): Omit<GuestReport, "generation"> | null {
	const { guest, process } = sight;
	const { record, spec, run } = guest;
	if (record.role === "none") return null;
	const move = moveOf(record);
	const { state, remark } = stateOf(sight);
	return {
		guestId: guest.guestId,
		name: spec.name,
		role: record.role,
		epoch: record.epoch,
		state,
		accelerator: process?.accelerator ?? null,
		startedAt: state === "stopped" || state === "crashed" ? null : run.startedAt,
		migrationId: move?.migrationId ?? null,
		peerHostId: move?.peerHostId ?? null,
		machine: process?.machine ?? spec.machine ?? null,
		remark,
		volumes: spec.volumes,
	};
}

/** The guest's state, and why where that is not plain. */
export function stateOf({ guest, process, transient, bootId }: Sight): { state: GuestState; remark: string | null } {
	const { record, run } = guest;
	switch (process?.state ?? "absent") {
		case "running":
			return { state: transient ?? "running", remark: null };
		case "paused":
			return { state: "paused", remark: null };
		case "loading":
		case "loaded":
			return { state: "paused", remark: "its memory is arriving; its CPUs are held" };
		case "handedOver":
			return { state: "paused", remark: handOverRemark(record) };
		case "absent":
			break;
	}
	if (transient === "starting") return { state: "starting", remark: null };
	if (record.role !== "owner") return { state: "stopped", remark: handOverRemark(record) };
	if (run.desired !== "running") return { state: "stopped", remark: run.lacking && lackingRemark };
	if (run.bootId !== bootId) {
		return { state: "stopped", remark: "its server was restarted; it starts again when the console says so" };
	}
	return { state: "crashed", remark: run.ending ?? "its process ended while the agent was away" };
}

function handOverRemark(record: OwnershipRecord): string | null {
	if (record.role !== "released") return null;
	return record.heard
		? `handed over to ${record.target.name}`
		: `handed over to ${record.target.name}, which has not answered yet; it is not started here meanwhile`;
}

function moveOf(record: OwnershipRecord): { migrationId: MigrationId; peerHostId: HostId } | null {
	switch (record.role) {
		case "owner":
			return record.outgoing && { migrationId: record.outgoing.migrationId, peerHostId: record.outgoing.target.hostId };
		case "incoming":
			return { migrationId: record.migrationId, peerHostId: record.sourceHostId };
		case "released":
			return { migrationId: record.migrationId, peerHostId: record.target.hostId };
		case "none":
			return null;
	}
}
