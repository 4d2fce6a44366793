import { type Patience, patiently } from "@sterna/backup/run-waiting";
import type { Storage } from "@sterna/repository/storage";

/**
 * A storage that waits while its place is away: every call is tried again while it is `unavailable`, for as long as
 * `patience` lasts. Whatever works with it never notices. `onStored` is told of every byte that was written.
 */
export function patientStorage(storage: Storage, patience: Patience, onStored: (bytes: number) => void): Storage {
	const wait = <Result>(task: () => Promise<Result>) => patiently(patience, "the repository", task);
	return {
		get locked() {
			return storage.locked;
		},
		async put(key, data) {
			await wait(() => storage.put(key, data));
			onStored(data.length);
		},
		async create(key, data) {
			await wait(() => storage.create(key, data));
			onStored(data.length);
		},
		get: (key, range) => wait(() => storage.get(key, range)),
		size: (key) => wait(() => storage.size(key)),
		// A listing that broke off is begun again: what was handed out of the first one is still there.
		async *list(prefix) {
			const all: { key: string; sizeBytes: number }[] = [];
			await wait(async () => {
				all.length = 0;
				for await (const object of storage.list(prefix)) all.push(object);
			});
			yield* all;
		},
		remove: (key) => wait(() => storage.remove(key)),
		capacity: () => wait(() => storage.capacity()),
		tidy: () => wait(() => storage.tidy()),
		close: () => storage.close(),
	};
}
