import { isDeepStrictEqual } from "node:util";
import type { GuestSpec } from "@sterna/shared/guest";

/** Whether two specs mean the same guest. The machine type is chosen at the first start and does not count. */
export function sameSpec(a: GuestSpec, b: GuestSpec): boolean {
	return isDeepStrictEqual({ ...a, machine: undefined }, { ...b, machine: undefined });
}

/** Why the spec cannot be on one host together with the others: a disk, an address or a name that is taken; null when it can. */
export function claimConflict(spec: GuestSpec, others: readonly GuestSpec[]): string | null {
	for (const other of others) {
		if (other.id === spec.id) continue;
		if (other.name === spec.name) return `the name ${spec.name} is taken by another guest of this host`;
		const volume = spec.volumes.find(({ id }) => other.volumes.some((taken) => taken.id === id));
		if (volume) return `volume ${volume.id} belongs to guest ${other.name}`;
		const nic = spec.nics.find(({ mac }) => other.nics.some((taken) => taken.mac === mac));
		if (nic) return `the address ${nic.mac} is taken by guest ${other.name}`;
	}
	return null;
}
