import { SternaError } from "@sterna/shared/errors";
import { isLockedKey } from "../storage.ts";
import { MemoryStorage } from "./memory-storage.ts";

export const dayMs = 24 * 60 * 60 * 1000;

/** A storage in memory that locks what is written, as a bucket with Object Lock does: for `lockDays` by the clock of the test. */
export class LockingStorage extends MemoryStorage {
	override readonly locked = true;
	readonly lockDays: number;
	now = 0;
	/** Keys whose locks were extended, in order. */
	readonly extended: string[] = [];
	/** Locks of these cannot be extended. */
	readonly refused = new Set<string>();
	readonly #lockedUntil = new Map<string, number>();

	constructor(lockDays: number) {
		super();
		this.lockDays = lockDays;
	}

	isLocked(key: string): boolean {
		return (this.#lockedUntil.get(key) ?? 0) > this.now;
	}

	override async put(key: string, data: Uint8Array): Promise<void> {
		await super.put(key, data);
		this.#lock(key);
	}

	override async create(key: string, data: Uint8Array): Promise<void> {
		await super.create(key, data);
		this.#lock(key);
	}

	override async remove(key: string): Promise<void> {
		if (this.isLocked(key)) throw new SternaError("forbidden", `${key} is locked`);
		await super.remove(key);
	}

	async extendLock(key: string): Promise<void> {
		if (this.refused.has(key)) throw new SternaError("forbidden", `the lock of ${key} may not be extended`);
		if (!this.objects.has(key)) throw new SternaError("not_found", `there is no object ${key}`);
		this.extended.push(key);
		this.#lock(key);
	}

	#lock(key: string): void {
		if (isLockedKey(key)) this.#lockedUntil.set(key, this.now + this.lockDays * dayMs);
	}
}
