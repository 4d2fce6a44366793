import { setTimeout as delay } from "node:timers/promises";
import { connectNbd } from "@sterna/nbd/client";
import { SternaError } from "@sterna/shared/errors";
import type { VolumeSource } from "../hypervisor.ts";
import { checkReachable, giveTo } from "./confinement.ts";
import type { QemuGuest } from "./guest.ts";

const reconnectDeadlineMs = 20_000;
/** A read that fails at once holds the guest within this. */
const holdsWithinMs = 300;

/** Lets the guest's user reach the sources again: whoever serves them may have made the sockets anew. */
export async function giveSources(guest: QemuGuest): Promise<void> {
	for (const { socket } of guest.record.sources) {
		// Not there: its server is gone, and QEMU asks again later.
		await giveTo(guest.record.uid, socket).catch(() => undefined);
	}
}

/**
 * Lets a guest go on whose sources failed. QEMU connects again by itself, up to 16 s apart (nbd/client-connection.c), and
 * until it has done so each of the guest's reads fails at once: while the sources answer us, it is tried again. When
 * fulfilled the guest runs, or is held again because they do not answer.
 */
export async function resumeFromSources(guest: QemuGuest): Promise<void> {
	const { monitor } = guest;
	const deadline = Date.now() + reconnectDeadlineMs;
	do {
		await giveSources(guest);
		await monitor.execute("cont", {}, { timeoutMs: 10_000 });
		if (await staysRunning(guest)) return;
	} while (Date.now() < deadline && (await doAnswer(guest)));
}

async function staysRunning(guest: QemuGuest): Promise<boolean> {
	const deadline = Date.now() + holdsWithinMs;
	while (Date.now() < deadline) {
		const { status } = await guest.monitor.execute("query-status", {});
		if (status === "io-error") return false;
		await delay(20);
	}
	return true;
}

async function doAnswer(guest: QemuGuest): Promise<boolean> {
	try {
		for (const { socket, exportName } of guest.record.sources) {
			await (await connectNbd({ socketPath: socket, exportName, contexts: [] })).close();
		}
		return true;
	} catch {
		return false;
	}
}

/** Before the start of a guest: its user must get to the sockets. */
export async function giveSocketsOf(sources: readonly VolumeSource[], uid: number | null): Promise<void> {
	for (const { volumeId, socket } of sources) {
		await checkReachable(uid, socket);
		await giveTo(uid, socket).catch((cause: unknown) => {
			throw new SternaError("unavailable", `the source of the volume ${volumeId} is not there`, { cause });
		});
	}
}
