import { rm } from "node:fs/promises";
import type { Server } from "node:net";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import type { AcceptedGuest } from "../hypervisor.ts";
import { readJsonFile, type SimulatedGuest, SimulatedVolume, writeJsonFile } from "./record.ts";
import { type CopyConnection, listen } from "./wire.ts";

/** A source that says nothing for so long is gone; the next one may connect. */
const silenceMs = 120_000;

/** The sockets at which the copies of arriving guests are taken. */
export class CopyDoors {
	readonly #runFolder: string;
	readonly #servers = new Map<GuestId, Server[]>();

	constructor(runFolder: string) {
		this.#runFolder = runFolder;
	}

	async open(guest: SimulatedGuest, onLoaded: (count: number) => Promise<void>): Promise<AcceptedGuest> {
		const { id } = guest.spec;
		const [memorySocket, diskSocket] = [join(this.#runFolder, id, "memory"), join(this.#runFolder, id, "disk")];
		for (const path of [memorySocket, diskSocket]) await rm(path, { force: true });
		const servers = [await listen(memorySocket, (connection) => serveMemory(connection, id, onLoaded))];
		const isCopied = guest.copiedVolumes.length > 0;
		if (isCopied) servers.push(await listen(diskSocket, (connection) => serveDisk(connection, guest)));
		this.#servers.set(id, servers);
		return { memorySocket, diskSocket: isCopied ? diskSocket : null };
	}

	close(guestId: GuestId): void {
		for (const server of this.#servers.get(guestId) ?? []) server.close();
		this.#servers.delete(guestId);
	}
}

/** Takes the guest's memory; `onLoaded` gets its count, and the source its receipt after that. */
async function serveMemory(
	connection: CopyConnection,
	guestId: GuestId,
	onLoaded: (count: number) => Promise<void>,
): Promise<void> {
	const first = await connection.next({ timeoutMs: silenceMs });
	if (first.type !== "memory" || first.guestId !== guestId) {
		throw new SternaError("invalid", `this is not the memory of guest ${guestId}`);
	}
	for (;;) {
		const message = await connection.next({ timeoutMs: silenceMs });
		if (message.type !== "lastPages") continue;
		await onLoaded(message.count);
		await connection.send({ type: "received" });
		return;
	}
}

/** Takes the content of one volume, as often as the source sends it. */
async function serveDisk(connection: CopyConnection, guest: SimulatedGuest): Promise<void> {
	const first = await connection.next({ timeoutMs: silenceMs });
	const volumeId = first.type === "disk" && guest.copiedVolumes.includes(first.volumeId) ? first.volumeId : null;
	const location = guest.volumes.find((volume) => volume.volumeId === volumeId);
	const volume = location ? await readJsonFile(location.path, SimulatedVolume) : null;
	if (!location || !volume) throw new SternaError("not_found", "no such volume is waiting for a copy");
	for (;;) {
		const message = await connection.next({ timeoutMs: silenceMs });
		if (message.type !== "diskContent") continue;
		await writeJsonFile(location.path, { ...volume, count: message.count });
		await connection.send({ type: "received" });
	}
}
