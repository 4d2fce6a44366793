import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId } from "@sterna/shared/ids";
import { makeFolderDurably, readJsonFile, removeDurably, writeDurably } from "../durable-file.ts";
import { GuestRecord, notStarted, RunRecord } from "./record.ts";

/** One guest folder. Without a spec it is a tombstone: only the highest epoch is remembered. */
export interface StoredGuest {
	readonly guestId: GuestId;
	readonly record: GuestRecord;
	readonly spec: GuestSpec | null;
	readonly run: RunRecord;
}

/** A guest folder that could not be read. Nothing in it is touched until a person has looked. */
export interface DamagedGuest {
	readonly guestId: string;
	readonly reason: string;
}

/**
 * The guests of this server on disk: `guests/<guestId>/` with `record.json` (who may run it), `spec.json` (what it is)
 * and `run.json` (what it was asked to do). Read once at opening; every write is durable before it is seen by a reader.
 */
export class GuestStore {
	readonly #folder: string;
	readonly #guests = new Map<GuestId, StoredGuest>();
	readonly #damaged = new Map<string, DamagedGuest>();
	readonly #writes = new Map<GuestId, Promise<void>>();

	private constructor(folder: string) {
		this.#folder = folder;
	}

	/** Reads all guest folders under `<dataDir>/guests`. Damaged ones are listed in `damaged`, never dropped. */
	static async open(dataDir: string): Promise<GuestStore> {
		const store = new GuestStore(join(dataDir, "guests"));
		await makeFolderDurably(store.#folder);
		for (const entry of await readdir(store.#folder, { withFileTypes: true })) {
			const guestId = GuestId.safeParse(entry.name);
			if (entry.isDirectory() && guestId.success) await store.#read(guestId.data);
		}
		return store;
	}

	/** All guests with a spec: those this server owns, receives, or has handed over and not yet forgotten. */
	list(): StoredGuest[] {
		return [...this.#guests.values()].filter((guest) => guest.spec !== null);
	}

	damaged(): DamagedGuest[] {
		return [...this.#damaged.values()];
	}

	/** The guest or its tombstone; undefined when this server never saw it. */
	get(guestId: GuestId): StoredGuest | undefined {
		return this.#guests.get(guestId);
	}

	/**
	 * Records who may run the guest. Fulfilled when the record would survive a power cut.
	 * @throws {SternaError} `conflict` when a higher epoch is stored; `wrong_state` when the folder is damaged.
	 */
	writeRecord(record: GuestRecord): Promise<void> {
		return this.#write(record.guestId, async (folder, before) => {
			if (before && record.epoch < before.record.epoch) throw staleEpoch(record.guestId, record.epoch, before);
			await writeDurably(join(folder, "record.json"), JSON.stringify(GuestRecord.parse(record)));
			return { spec: null, run: notStarted, ...before, guestId: record.guestId, record };
		});
	}

	/** Stores what the guest is. The record must be there first. */
	writeSpec(spec: GuestSpec): Promise<void> {
		return this.#write(spec.id, async (folder, before) => {
			const known = mustExist(spec.id, before);
			await writeDurably(join(folder, "spec.json"), JSON.stringify(GuestSpec.parse(spec)));
			return { ...known, spec };
		});
	}

	/** Stores what the guest was asked to do. The record must be there first. */
	writeRun(guestId: GuestId, run: RunRecord): Promise<void> {
		return this.#write(guestId, async (folder, before) => {
			const known = mustExist(guestId, before);
			await writeDurably(join(folder, "run.json"), JSON.stringify(RunRecord.parse(run)));
			return { ...known, run };
		});
	}

	/** Forgets the guest but its epoch. `record` must be the record of someone who does not own it any more. */
	bury(record: GuestRecord): Promise<void> {
		return this.#write(record.guestId, async (folder, before) => {
			if (before && record.epoch < before.record.epoch) throw staleEpoch(record.guestId, record.epoch, before);
			if (record.role === "owner") {
				throw new SternaError("internal", `guest ${record.guestId} cannot be forgotten by its owner`);
			}
			await writeDurably(join(folder, "record.json"), JSON.stringify(GuestRecord.parse(record)));
			await removeDurably(join(folder, "spec.json"));
			await removeDurably(join(folder, "run.json"));
			return { guestId: record.guestId, record, spec: null, run: notStarted };
		});
	}

	async #read(guestId: GuestId): Promise<void> {
		const folder = join(this.#folder, guestId);
		try {
			const record = await readJsonFile(join(folder, "record.json"), GuestRecord);
			const spec = await readJsonFile(join(folder, "spec.json"), GuestSpec);
			const run = await readJsonFile(join(folder, "run.json"), RunRecord);
			if (!record) {
				if (spec || run) throw new SternaError("invalid", `${folder} has no record.json`);
				return;
			}
			if (record.guestId !== guestId || (spec && spec.id !== guestId)) {
				throw new SternaError("invalid", `${folder} holds the files of another guest`);
			}
			this.#guests.set(guestId, { guestId, record, spec, run: run ?? notStarted });
		} catch (thrown) {
			this.#damaged.set(guestId, { guestId, reason: asSternaError(thrown).message });
		}
	}

	#write(
		guestId: GuestId,
		act: (folder: string, before: StoredGuest | undefined) => Promise<StoredGuest>,
	): Promise<void> {
		const turn = (this.#writes.get(guestId) ?? Promise.resolve()).then(async () => {
			const damaged = this.#damaged.get(guestId);
			if (damaged) {
				throw new SternaError("wrong_state", `guest ${guestId} cannot be changed: ${damaged.reason}`, {
					cure: "restore the damaged file and restart the agent",
				});
			}
			const folder = join(this.#folder, guestId);
			await makeFolderDurably(folder);
			this.#guests.set(guestId, await act(folder, this.#guests.get(guestId)));
		});
		const settled = turn.catch(() => {});
		this.#writes.set(guestId, settled);
		void settled.then(() => {
			if (this.#writes.get(guestId) === settled) this.#writes.delete(guestId);
		});
		return turn;
	}
}

function mustExist(guestId: GuestId, guest: StoredGuest | undefined): StoredGuest {
	if (!guest) throw new SternaError("not_found", `this server has no guest ${guestId}`);
	return guest;
}

function staleEpoch(guestId: GuestId, epoch: number, before: StoredGuest): SternaError {
	return new SternaError(
		"conflict",
		`epoch ${epoch} of guest ${guestId} is over: this server has already seen epoch ${before.record.epoch}`,
	);
}
