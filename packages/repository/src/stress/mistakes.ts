import { CollectionRecord, collectionNumber, parseRecord, SessionRecord, sealRecord } from "../format/records.ts";
import type { Sealing } from "../format/sealing.ts";
import type { Storage } from "../storage.ts";
import type { Actor } from "./scheduler.ts";

/** How one actor is made to break a rule of the protocol: by what it gets to see. */
export type Mistake = (storage: Storage, actor: Actor, sealing: Sealing) => Storage;

/** Rules of docs/decisions/0011, each broken: the simulation must notice every one. */
export const mistakes: Record<string, Mistake> = {
	"collections do not look for sessions": (storage, actor) =>
		isCollector(actor) ? changed(storage, { list: hiding(storage, "sessions/") }) : storage,
	"collections take every session for one that saw the round": (storage, actor, sealing) =>
		isCollector(actor)
			? rewriting(storage, (key, bytes) => {
					if (!key.startsWith("sessions/")) return bytes;
					const record = parseRecord(sealing, key, bytes, SessionRecord);
					return sealRecord(sealing, key, { ...record, sawCollection: 1_000_000 });
				})
			: storage,
	"sessions reuse what a round has condemned": (storage, actor, sealing) =>
		isWriter(actor)
			? rewriting(storage, (key, bytes) => {
					if (collectionNumber(key) === null) return bytes;
					const record = parseRecord(sealing, key, bytes, CollectionRecord);
					return sealRecord(sealing, key, { ...record, condemned: [] });
				})
			: storage,
	"collections do not look for readers": (storage, actor) =>
		isCollector(actor) ? changed(storage, { list: hiding(storage, "readers/") }) : storage,
	"readers do not write down what they read": (storage, actor) =>
		actor.name.startsWith("lingerer")
			? changed(storage, {
					put: async (key, data) => (key.startsWith("readers/") ? undefined : storage.put(key, data)),
				})
			: storage,
	"sessions begin at pruned points": (storage, actor) =>
		isWriter(actor)
			? changed(storage, {
					size: async (key) => (key.startsWith("pruned/") ? null : storage.size(key)),
					list: hiding(storage, "pruned/"),
				})
			: storage,
};

const isCollector = (actor: Actor) => actor.name.startsWith("collector");
const isWriter = (actor: Actor) => actor.name.startsWith("writer");

function hiding(storage: Storage, hidden: string): Storage["list"] {
	return async function* (prefix) {
		if (prefix !== hidden) yield* storage.list(prefix);
	};
}

function rewriting(storage: Storage, rewrite: (key: string, bytes: Uint8Array) => Uint8Array): Storage {
	return changed(storage, { get: async (key, range) => rewrite(key, await storage.get(key, range)) });
}

function changed(storage: Storage, change: Partial<Storage>): Storage {
	const whole: Storage = {
		locked: storage.locked,
		put: (key, data) => storage.put(key, data),
		create: (key, data) => storage.create(key, data),
		get: (key, range) => storage.get(key, range),
		size: (key) => storage.size(key),
		list: (prefix) => storage.list(prefix),
		remove: (key) => storage.remove(key),
		capacity: () => storage.capacity(),
		tidy: () => storage.tidy(),
		close: () => storage.close(),
	};
	return { ...whole, ...change };
}
