import { access, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { asSternaError } from "@sterna/shared/errors";
import type { QemuGuest } from "./guest.ts";
import { freeze, isThere, thaw } from "./guest-agent.ts";

const agentPatienceMs = 2000;

export interface Instant {
	takenAt: number;
	frozenMs: number | null;
	/** Why the file systems were not frozen although that was wanted. */
	remark: string | null;
}

/** Takes the instant, with the file systems frozen if that can be; whatever happens they are thawed after. */
export async function takeInstant(
	guest: QemuGuest,
	freezes: { wanted: boolean; isRunning: boolean },
	take: () => Promise<void>,
): Promise<Instant> {
	const remark = freezes.wanted ? await whyNotFrozen(guest, freezes.isRunning) : null;
	if (!freezes.wanted || remark !== null) {
		const takenAt = Date.now();
		await take();
		return { takenAt, frozenMs: null, remark };
	}
	const beganAt = performance.now();
	let failure: string | null = null;
	let takenAt: number;
	await writeFile(note(guest), "");
	try {
		await freeze(guest).catch((error: unknown) => {
			failure = asSternaError(error).message;
		});
		takenAt = Date.now();
		await take();
	} finally {
		// Also when freezing failed: an agent that answered too late may have frozen them all the same.
		await endFreeze(guest);
	}
	return { takenAt, frozenMs: failure === null ? Math.round(performance.now() - beganAt) : null, remark: failure };
}

async function whyNotFrozen(guest: QemuGuest, isRunning: boolean): Promise<string | null> {
	if (!isRunning) return "the guest is paused: nobody in it can freeze its file systems";
	const alive = await isThere(guest, agentPatienceMs);
	return alive ? null : "no guest agent answers: its file systems were not frozen";
}

/** Thaws file systems that an earlier life of the driver, or a failure, may have left frozen. None: no change. */
export async function endLeftFreeze(guest: QemuGuest): Promise<void> {
	const wasFreezing = await access(note(guest)).then(
		() => true,
		() => false,
	);
	if (wasFreezing) await endFreeze(guest);
}

async function endFreeze(guest: QemuGuest): Promise<void> {
	await thaw(guest);
	await rm(note(guest), { force: true });
}

/** A file that is there while file systems may be frozen: whoever finds it thaws. */
function note({ paths }: QemuGuest): string {
	return join(paths.folder, "freezing");
}
