import type { ProcessReport } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { AgentContext } from "../context.ts";
import { stillLacking } from "../guests/lacking.ts";
import { whyOnlyForward } from "./only-forward.ts";
import type { RestoreTask } from "./task.ts";

type Context = Pick<AgentContext, "store" | "queue" | "hypervisor">;

/** What a restore that was given up failed of. */
export function givenUp({ facts }: RestoreTask): SternaError {
	return new SternaError("unavailable", `the restore was given up: the disks of ${facts.spec.name} are half filled`, {
		cure: "delete the guest, or restore over it again",
	});
}

/** Why the restore is not given up while its guest's process is in `state`; null when it is. Pure. */
export function refuseGiveUp(
	task: Pick<RestoreTask, "ended" | "onlyForward" | "has" | "facts">,
	state: ProcessReport["state"],
): { message: string; cure: string } | null {
	const { mode, spec } = task.facts;
	if (task.ended)
		return { message: `the restore is ${task.ended}; there is nothing to give up`, cure: "begin a new one" };
	if (!task.onlyForward) {
		return { message: `nothing that ${spec.name} wrote would be lost`, cure: "cancel the restore: it is undone" };
	}
	if (mode !== "instant" || task.has("filled")) return { message: whyOnlyForward(task), cure: "let it finish" };
	if (state !== "absent") {
		return {
			message: `${spec.name} has a process that reads from the repository`,
			cure: `power ${spec.name} off first; what it wrote stays in its half-filled disks`,
		};
	}
	return null;
}

/**
 * Marks the guest so that nobody starts it any more. Durable when fulfilled: from then on the restore is given up.
 * @throws {SternaError} `wrong_state` with what `refuseGiveUp` says: nothing has changed.
 */
export async function markGivenUp({ store, queue, hypervisor }: Context, task: RestoreTask): Promise<void> {
	const { spec, restoreId, volumes, beforeLacking } = task.facts;
	// In its turn: nobody gives it a process between the look and the mark.
	await queue.run(spec.id, async () => {
		const refusal = refuseGiveUp(task, (await hypervisor.inspect(spec.id)).state);
		if (refusal)
			throw new SternaError("wrong_state", `the restore is not given up: ${refusal.message}`, { cure: refusal.cure });
		const lacking = new Set([...(store.get(spec.id)?.run.lacking?.volumeIds ?? []), ...volumes.map(({ to }) => to)]);
		await store.writeRun(spec.id, {
			desired: "stopped",
			ending: null,
			lacking: { restoreIds: [...(beforeLacking?.restoreIds ?? []), restoreId].slice(-50), volumeIds: [...lacking] },
		});
	});
}

/** Whether the mark stands, also of an earlier life. */
export function isGivenUp({ store }: Context, { facts }: RestoreTask): boolean {
	return store.get(facts.spec.id)?.run.lacking?.restoreIds.at(-1) === facts.restoreId;
}

/** The volumes that the restore brings lack nothing any more, or are filled by it from here on. */
export async function noteBrought({ store }: Context, { facts }: RestoreTask): Promise<void> {
	const { spec, volumes } = facts;
	const before = store.get(spec.id)?.run.lacking ?? null;
	if (!before) return;
	const brought = volumes.map(({ to }) => to);
	await store.writeRun(spec.id, { lacking: stillLacking(before, spec, brought) });
}
