import { z } from "zod";
import { ResourceName } from "./names.ts";

/** A unicast Ethernet address in lower case, as `52:54:00:12:34:56` (IEEE 802: bit 0 of the first octet is 0). */
export const MacAddress = z
	.string()
	.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/, "is six pairs of lower-case hexadecimal digits")
	.refine(
		(mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0,
		"is a multicast address; a NIC needs a unicast one",
	)
	.refine((mac) => mac !== "00:00:00:00:00:00", "is the null address");
export type MacAddress = z.infer<typeof MacAddress>;

/** A VLAN id (IEEE 802.1Q §9.6): 0 and 4095 are reserved. */
export const VlanId = z.int().min(1).max(4094);

/** A guest's network card. */
export const Nic = z.strictObject({
	mac: MacAddress,
	/** Name of the network, the same on every host that offers it. */
	network: ResourceName,
});
export type Nic = z.infer<typeof Nic>;

/** Addresses that Sterna gives out: QEMU's OUI 52:54:00, three random octets. */
export function randomMac(random: (octets: number) => Uint8Array): MacAddress {
	const octets = [0x52, 0x54, 0x00, ...random(3)];
	return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** A network as one host offers it. `bridge` carries taps; `user` is QEMU's own NAT, where root is missing. */
export const HostNetwork = z.strictObject({
	name: ResourceName,
	kind: z.enum(["bridge", "user"]),
});
export type HostNetwork = z.infer<typeof HostNetwork>;
