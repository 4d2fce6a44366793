import { type ChainPlan, planChain } from "@sterna/backup/chain";
import type { VolumeLocation } from "@sterna/hypervisor/hypervisor";
import type { Repository } from "@sterna/repository/repository";
import type { GuestId, PointId } from "@sterna/shared/ids";
import type { AgentContext } from "../context.ts";

/** What a run of this guest into this repository would read now. @throws {SternaError} those of the repository and the driver. */
export async function readChain(
	hypervisor: AgentContext["hypervisor"],
	repository: Repository,
	guest: { guestId: GuestId; volumes: readonly VolumeLocation[]; remembered: readonly PointId[]; readWhole: boolean },
): Promise<ChainPlan> {
	const { guestId, remembered, readWhole } = guest;
	const [{ points }, volumes] = await Promise.all([
		repository.points(),
		hypervisor.changeTracking(guestId, guest.volumes),
	]);
	const facts = { points: points.filter((point) => point.guestId === guestId), remembered, volumes, readWhole };
	const plan = planChain({ ...facts, damaged: [] });
	const pointId = plan.parentPointId;
	if (pointId === null) return plan;
	const damaged = (await repository.damagedVolumes(pointId)).map((volumeId) => ({ pointId, volumeId }));
	return damaged.length === 0 ? plan : planChain({ ...facts, damaged });
}
