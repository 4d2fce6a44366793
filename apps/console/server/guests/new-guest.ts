import { Boot, GuestMemoryBytes, GuestSpec, VcpuCount } from "@sterna/shared/guest";
import { GuestId, HostId, newId, VolumeId } from "@sterna/shared/ids";
import { Name, ResourceName } from "@sterna/shared/names";
import { randomMac } from "@sterna/shared/network";
import { VolumeSizeBytes } from "@sterna/shared/volume";
import { z } from "zod";

/** What a person says of a new guest; ids and addresses are made by the console. */
export const NewGuest = z.strictObject({
	name: Name,
	vcpus: VcpuCount,
	memoryBytes: GuestMemoryBytes,
	boot: Boot,
	volumes: z
		.array(z.strictObject({ pool: ResourceName, sizeBytes: VolumeSizeBytes, fromImage: ResourceName.optional() }))
		.max(16),
	networks: z.array(ResourceName).max(8),
	/** A chosen host; the planner chooses without. */
	hostId: HostId.optional(),
});
export type NewGuest = z.infer<typeof NewGuest>;

/**
 * The spec of a new guest, with fresh ids and addresses that `isTaken` does not know.
 * @throws {ZodError} for wishes that contradict each other (a guest that boots from disk without a volume).
 */
export function newSpec(wish: Omit<NewGuest, "hostId">, isTaken: (mac: string) => boolean): GuestSpec {
	const macs = new Set<string>();
	const freshMac = () => {
		for (;;) {
			const mac = randomMac((octets) => crypto.getRandomValues(new Uint8Array(octets)));
			if (macs.has(mac) || isTaken(mac)) continue;
			macs.add(mac);
			return mac;
		}
	};
	return GuestSpec.parse({
		id: newId(GuestId),
		name: wish.name,
		vcpus: wish.vcpus,
		memoryBytes: wish.memoryBytes,
		boot: wish.boot,
		volumes: wish.volumes.map((volume) => ({ id: newId(VolumeId), ...volume })),
		nics: wish.networks.map((network) => ({ mac: freshMac(), network })),
	});
}
