import { appendFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { GuestId } from "@sterna/shared/ids";
import { countedUp, serialLines } from "./clock.ts";
import { readJsonFile, SimulatedGuest, SimulatedVolume, writeJsonFile } from "./record.ts";

/** The guests of one run folder: in memory what their files say, and on their serial logs what they have counted. */
export class SimulatedGuests {
	readonly #runFolder: string;
	readonly #tickMs: number;
	readonly #guests = new Map<GuestId, SimulatedGuest>();
	readonly #printed = new Map<GuestId, number>();
	#queue: Promise<unknown> = Promise.resolve();
	#changes: Promise<unknown> = Promise.resolve();

	constructor(runFolder: string, tickMs: number) {
		this.#runFolder = runFolder;
		this.#tickMs = tickMs;
	}

	/** @throws {SternaError} `not_found` */
	get(guestId: GuestId): SimulatedGuest {
		const guest = this.#guests.get(guestId);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} has no process on this host`);
		return guest;
	}

	has(guestId: GuestId): boolean {
		return this.#guests.has(guestId);
	}

	ids(): GuestId[] {
		return [...this.#guests.keys()];
	}

	/** The guest, also one that has ended or was not adopted yet; null when there never was one. */
	async find(guestId: GuestId): Promise<SimulatedGuest | null> {
		return this.#guests.get(guestId) ?? (await readJsonFile(this.#file(guestId), SimulatedGuest));
	}

	count(guestId: GuestId): number {
		return countedUp(this.get(guestId), Date.now(), this.#tickMs).count;
	}

	serialLogPath(guestId: GuestId): string {
		return join(this.#runFolder, guestId, "serial.log");
	}

	/** Takes over the guests that an earlier life left, and prints what they counted in between. */
	async adopt(): Promise<SimulatedGuest[]> {
		await mkdir(this.#runFolder, { recursive: true });
		const adopted: SimulatedGuest[] = [];
		for (const id of (await readdir(this.#runFolder)).flatMap((name) => GuestId.safeParse(name).data ?? [])) {
			if (this.#guests.has(id)) continue;
			const guest = await this.find(id);
			if (guest === null || guest.state === "ended") continue;
			// Known before the guest is: a tick in between would print again what was printed on another host.
			this.#printed.set(id, await this.#lastPrinted(id, guest.count));
			this.#guests.set(id, guest);
			await this.print(id);
			adopted.push(guest);
		}
		return adopted;
	}

	async add(guest: SimulatedGuest): Promise<void> {
		const { id } = guest.spec;
		await mkdir(join(this.#runFolder, id), { recursive: true });
		await writeFile(this.serialLogPath(id), "", { flag: "a" });
		await writeJsonFile(this.#file(id), guest);
		this.#guests.set(id, guest);
		this.#printed.set(id, 0);
	}

	/**
	 * Counts up to now, then changes the guest, its file and its volumes. One after the other: each sees the one before, and
	 * what `inTurn` does to the volumes besides.
	 */
	change(
		guestId: GuestId,
		change: Partial<SimulatedGuest>,
		inTurn?: (after: SimulatedGuest) => Promise<void>,
	): Promise<{ before: SimulatedGuest; after: SimulatedGuest }> {
		const turn = this.#changes.then(async () => {
			const changed = await this.#change(guestId, change);
			await inTurn?.(changed.after);
			return changed;
		});
		this.#changes = turn.catch(() => undefined);
		return turn;
	}

	async #change(
		guestId: GuestId,
		change: Partial<SimulatedGuest>,
	): Promise<{ before: SimulatedGuest; after: SimulatedGuest }> {
		await this.print(guestId);
		const before = this.get(guestId);
		const counted = countedUp(before, Date.now(), this.#tickMs);
		const countedAt = before.state === "running" ? counted.countedAt : Date.now();
		const after = { ...counted, countedAt, ...change };
		this.#guests.set(guestId, after);
		// What came over the link was printed where it was counted.
		if (change.count !== undefined) this.#printed.set(guestId, change.count);
		// A target's volumes are written by the copy, not by a guest that has not run yet.
		if (before.state === "running") await this.#writeVolumes(after);
		await writeJsonFile(this.#file(guestId), after);
		return { before, after };
	}

	forget(guestId: GuestId): void {
		this.#guests.delete(guestId);
	}

	async removeFiles(guestId: GuestId): Promise<void> {
		this.#printed.delete(guestId);
		await rm(join(this.#runFolder, guestId), { recursive: true, force: true });
	}

	clear(): void {
		this.#guests.clear();
	}

	/** Prints what the guest has counted since. One after the other: two at once would print the same lines. */
	print(guestId: GuestId): Promise<void> {
		const turn = this.#queue.then(async () => {
			if (!this.#guests.has(guestId)) return;
			const count = this.count(guestId);
			const printed = this.#printed.get(guestId) ?? 0;
			if (count <= printed) return;
			this.#printed.set(guestId, count);
			await appendFile(this.serialLogPath(guestId), serialLines(printed, count));
		});
		this.#queue = turn.catch(() => undefined);
		return turn;
	}

	/** Where the serial log of an earlier life ends; `otherwise` when it does not say. */
	async #lastPrinted(guestId: GuestId, otherwise: number): Promise<number> {
		const text = await readFile(this.serialLogPath(guestId), "utf8").catch(() => "");
		const last = text.split("\n").findLast((line) => /^[0-9a-f]{8}$/.test(line));
		return last === undefined ? otherwise : Number.parseInt(last, 16);
	}

	async #writeVolumes(guest: SimulatedGuest): Promise<void> {
		for (const { path } of guest.volumes) {
			const volume = await readJsonFile(path, SimulatedVolume);
			if (volume) await writeJsonFile(path, { ...volume, count: guest.count });
		}
	}

	#file(guestId: GuestId): string {
		return join(this.#runFolder, guestId, "guest.json");
	}
}
