import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Decision } from "@sterna/migration/handover";
import { OwnershipRecord } from "@sterna/migration/ownership-record";
import type { RecordPort } from "@sterna/migration/ports";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId } from "@sterna/shared/ids";
import { makeFolderDurably, readJsonFile, removeDurably, removeHalfWritten, writeDurably } from "../durable-file.ts";
import { GuestQueue } from "./queue.ts";
import { notStarted, RunRecord } from "./run-record.ts";

/** One guest folder. Without a spec it is a tombstone: only the highest epoch is remembered. */
export interface StoredGuest {
	readonly guestId: GuestId;
	readonly record: OwnershipRecord;
	readonly spec: GuestSpec | null;
	readonly run: RunRecord;
}

/** A guest of this host: what it is is known. */
export type KnownGuest = StoredGuest & { readonly spec: GuestSpec };

/** A guest folder that could not be read. Nothing in it is touched until a person has looked. */
export interface DamagedGuest {
	readonly guestId: string;
	readonly reason: string;
}

/**
 * The guests of this server on disk: `guests/<guestId>/` with `record.json` (who may run it), `spec.json` (what it is)
 * and `run.json` (what it was asked to do). Read once at opening; every write is on disk before a reader sees it.
 */
export class GuestStore implements RecordPort {
	readonly #folder: string;
	readonly #guests = new Map<GuestId, StoredGuest>();
	readonly #damaged = new Map<string, DamagedGuest>();
	readonly #turns = new GuestQueue();

	private constructor(folder: string) {
		this.#folder = folder;
	}

	/** Reads all guest folders under `<dataDir>/guests`. Damaged ones are listed in `damaged`, never dropped. */
	static async open(dataDir: string): Promise<GuestStore> {
		const store = new GuestStore(join(dataDir, "guests"));
		await makeFolderDurably(store.#folder);
		for (const entry of await readdir(store.#folder, { withFileTypes: true })) {
			const guestId = GuestId.safeParse(entry.name);
			if (entry.isDirectory() && guestId.success) await store.#load(guestId.data);
		}
		return store;
	}

	/** All guests with a spec: those this server owns, receives, or has handed over and not yet retired. */
	list(): KnownGuest[] {
		return [...this.#guests.values()].filter(isKnown);
	}

	damaged(): DamagedGuest[] {
		return [...this.#damaged.values()];
	}

	/** The guest or its tombstone; undefined when this server never saw it. */
	get(guestId: GuestId): StoredGuest | undefined {
		return this.#guests.get(guestId);
	}

	async read(guestId: GuestId): Promise<OwnershipRecord | null> {
		return this.#guests.get(guestId)?.record ?? null;
	}

	/**
	 * Decides about the guest's ownership and stores what was accepted, under the guest's record lock (not re-entrant).
	 * @throws {SternaError} `wrong_state` when the guest's folder is damaged; `internal` when a decision would forget an epoch.
	 */
	update(
		guestId: GuestId,
		decide: (record: OwnershipRecord | null) => Decision | Promise<Decision>,
	): Promise<Decision> {
		return this.#inTurn(guestId, async (folder) => {
			const before = this.#guests.get(guestId);
			const decision = await decide(before?.record ?? null);
			if (decision.verdict !== "accept") return decision;
			const record = OwnershipRecord.parse(decision.record);
			if (record.guestId !== guestId || record.highestEpoch < (before?.record.highestEpoch ?? 0)) {
				throw new SternaError("internal", `a decision about guest ${guestId} would forget its epoch`);
			}
			await makeFolderDurably(folder);
			await writeDurably(join(folder, "record.json"), JSON.stringify(record));
			this.#guests.set(guestId, { spec: null, run: notStarted, ...before, guestId, record });
			return decision;
		});
	}

	/** Stores what the guest is. Its record must be there first. */
	writeSpec(spec: GuestSpec): Promise<void> {
		return this.#inTurn(spec.id, async (folder) => {
			const before = this.#mustKnow(spec.id);
			await writeDurably(join(folder, "spec.json"), JSON.stringify(GuestSpec.parse(spec)));
			this.#guests.set(spec.id, { ...before, spec });
		});
	}

	/** Stores what the guest was asked to do. Its record must be there first. */
	writeRun(guestId: GuestId, change: Partial<RunRecord>): Promise<void> {
		return this.#inTurn(guestId, async (folder) => {
			const before = this.#mustKnow(guestId);
			const run = RunRecord.parse({ ...before.run, ...change });
			await writeDurably(join(folder, "run.json"), JSON.stringify(run));
			this.#guests.set(guestId, { ...before, run });
		});
	}

	/**
	 * Forgets a guest that is not here any more; the record stays as its tombstone.
	 * @throws {SternaError} `wrong_state` while the record is not `none`.
	 */
	bury(guestId: GuestId): Promise<void> {
		return this.#inTurn(guestId, async (folder) => {
			const before = this.#guests.get(guestId);
			if (!before) return;
			if (before.record.role !== "none") {
				throw new SternaError(
					"wrong_state",
					`guest ${guestId} cannot be forgotten while this host is ${before.record.role}`,
				);
			}
			await removeDurably(join(folder, "spec.json"));
			await removeDurably(join(folder, "run.json"));
			this.#guests.set(guestId, { ...before, spec: null, run: notStarted });
		});
	}

	async #load(guestId: GuestId): Promise<void> {
		const folder = join(this.#folder, guestId);
		await removeHalfWritten(folder);
		try {
			const record = await readJsonFile(join(folder, "record.json"), OwnershipRecord);
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

	#inTurn<Result>(guestId: GuestId, act: (folder: string) => Promise<Result>): Promise<Result> {
		return this.#turns.run(guestId, async () => {
			const damaged = this.#damaged.get(guestId);
			if (damaged) {
				throw new SternaError("wrong_state", `guest ${guestId} cannot be changed: ${damaged.reason}`, {
					cure: "restore the damaged file and restart the agent",
				});
			}
			return act(join(this.#folder, guestId));
		});
	}

	#mustKnow(guestId: GuestId): StoredGuest {
		const guest = this.#guests.get(guestId);
		if (!guest) throw new SternaError("not_found", `this server has no guest ${guestId}`);
		return guest;
	}
}

function isKnown(guest: StoredGuest): guest is KnownGuest {
	return guest.spec !== null;
}
