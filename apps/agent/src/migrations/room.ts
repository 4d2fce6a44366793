import { hostReserveBytes } from "@sterna/shared/guest";

/** Memory that guests may use together on a host; `configuredBytes` is the admin's word, where there is one. */
export function guestMemoryBytes(hostMemoryBytes: number, configuredBytes: number | undefined): number {
	const physical = Math.max(0, hostMemoryBytes - hostReserveBytes(hostMemoryBytes));
	return configuredBytes === undefined ? physical : Math.min(physical, configuredBytes);
}
