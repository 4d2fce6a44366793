import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { bitmapName } from "@sterna/backup/chain";
import type { PlannedVolume, RunFacts } from "@sterna/backup/run-journal";
import type { GuestPort } from "@sterna/backup/run-ports";
import { abortError } from "@sterna/backup/run-waiting";
import type { VolumeLocation } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { VolumeId } from "@sterna/shared/ids";
import type { AgentContext } from "../context.ts";

/** The run's guest. Opening and ending its instant take a turn among the guest's commands; copying does not. */
export function guestPort(context: AgentContext, facts: RunFacts): GuestPort {
	const { hypervisor, queue, store, places, dataDir } = context;
	const { guestId, pointId, options } = facts;
	const mark = bitmapName(pointId);
	const scratchFolder = join(dataDir, "scratch");
	const scratchPath = (volumeId: VolumeId) => join(scratchFolder, `${pointId}-${volumeId}.qcow2`);
	/** Where the volumes are now; those that have left the guest since are nobody's. */
	const located = (planned: readonly PlannedVolume[]) => {
		const spec = store.get(guestId)?.spec;
		const locations = new Map(spec ? places.volumes(spec).map((one) => [one.volumeId, one] as const) : []);
		return planned.flatMap((volume): (PlannedVolume & VolumeLocation)[] => {
			const location = locations.get(volume.volumeId);
			return location ? [{ ...volume, ...location }] : [];
		});
	};
	return {
		takeSnapshot: (planned, signal) =>
			queue.run(guestId, async () => {
				if (signal.aborted) throw abortError(signal);
				const volumes = located(planned);
				if (volumes.length < planned.length) {
					throw new SternaError("wrong_state", `guest ${facts.spec.name} has lost a volume since the run began`);
				}
				// Guests run as users of their own and must get to the files that they are given.
				await mkdir(scratchFolder, { recursive: true, mode: 0o711 });
				return hypervisor.takeSnapshot({
					guestId,
					mark,
					volumes: volumes.map(({ volumeId, path, since }) => ({
						volumeId,
						path,
						since,
						scratchPath: scratchPath(volumeId),
					})),
					freeze: options.freeze,
				});
			}),
		isSnapshotWhole: () => hypervisor.isSnapshotWhole(guestId),
		endSnapshot: (planned, outcome) =>
			queue.run(guestId, () =>
				hypervisor.endSnapshot({
					guestId,
					mark,
					volumes: located(planned).map(({ volumeId, path, since, stale }) => ({
						volumeId,
						path,
						since,
						stale,
						scratchPath: scratchPath(volumeId),
					})),
					outcome,
				}),
			),
	};
}
