import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import type { GuestStats, ProcessReport } from "../hypervisor.ts";
import type { SimulatedGuest } from "./record.ts";

/** The guest as the contract tells it. */
export function report(guest: SimulatedGuest): ProcessReport {
	const { spec, state, ending } = guest;
	if (state === "ended") return absent(spec.id, guest.machine, ending);
	const fixed = { pid: null, accelerator: "simulated", ending: null, heldByStorage: false } as const;
	const seats = guest.seats.filter(({ port, moves }) => port !== null || moves > 0);
	return { guestId: spec.id, state, machine: guest.machine, ...fixed, seats };
}

export function absent(guestId: GuestId, machine: string | null, ending: string | null = null): ProcessReport {
	return { guestId, state: "absent", pid: null, accelerator: null, machine, ending, heldByStorage: false, seats: [] };
}

/** @throws {SternaError} `wrong_state` */
export function expectState(guest: SimulatedGuest, states: readonly SimulatedGuest["state"][], verb: string): void {
	if (states.includes(guest.state)) return;
	throw new SternaError("wrong_state", `cannot ${verb} guest ${guest.spec.name}: it is ${guest.state}`);
}

/** What a guest that has counted so far would have used. */
export function statsOf({ memoryBytes }: GuestSpec, count: number): GuestStats {
	return {
		cpuTimeMs: count * 5,
		memoryResidentBytes: Math.floor(memoryBytes / 2),
		diskReadBytes: count * 512,
		diskWriteBytes: count * 512,
		diskWrites: count,
		diskWriteTimeMs: count * 0.2,
		networkReceiveBytes: count * 64,
		networkTransmitBytes: count * 64,
	};
}
