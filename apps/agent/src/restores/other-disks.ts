import { SternaError } from "@sterna/shared/errors";
import type { GuestSpec } from "@sterna/shared/guest";
import type { VolumeId } from "@sterna/shared/ids";
import { stillLacking } from "../guests/lacking.ts";
import type { Lacking } from "../guests/run-record.ts";

/**
 * A restore changes the disks that it brings and no other. This server knows best where the others are: who planned with an
 * older list would have the guest start with an empty disk. And a disk that stays half filled has its last whole copy aside,
 * which the end of the restore would remove.
 * @param before the guest as this server has it
 * @throws {SternaError} `wrong_state` naming the disks.
 */
export function refuseOtherDisks(
	before: GuestSpec,
	lacking: Lacking | null,
	{ spec, brought }: { spec: GuestSpec; brought: ReadonlySet<VolumeId> },
): void {
	const halfFilled = stillLacking(lacking, spec, [...brought])?.volumeIds ?? [];
	if (halfFilled.length > 0) {
		throw new SternaError(
			"wrong_state",
			`of guest ${spec.name} the disks ${halfFilled.join(", ")} are half filled and would stay so`,
			{ cure: "restore them too, or delete the guest and restore it as a new one" },
		);
	}
	const elsewhere = spec.volumes.filter(({ id, pool }) => {
		const own = before.volumes.find((volume) => volume.id === id);
		return own && own.pool !== pool && !brought.has(id);
	});
	if (elsewhere.length === 0) return;
	throw new SternaError(
		"wrong_state",
		`of guest ${spec.name} the disks ${elsewhere.map(({ id }) => id).join(", ")} are in another pool than the restore says`,
		{ cure: "wait until the guest's disks are listed anew, then plan the restore again" },
	);
}
