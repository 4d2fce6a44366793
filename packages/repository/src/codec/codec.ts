import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { SternaError } from "@sterna/shared/errors";
import { type Carried, SharedRooms } from "./carrying.ts";
import type { HashJob, HashResult, OpenJob, OpenResult, SealJob, SealResult } from "./jobs.ts";

/**
 * Hashes, compresses, seals and opens batches of blocks off the event loop. The buffers of a job are gone until it is answered;
 * those that are no room of the codec for good, where the result does not have them.
 */
export interface Codec {
	/** Memory for content and sealed blocks that all threads see: so large, with whatever was in it before. */
	room(lengthBytes: number): Uint8Array;
	/** Takes a view of a room, or of any other memory, that nobody uses any more. */
	giveBack(view: Uint8Array): void;
	hash(job: HashJob): Promise<HashResult>;
	seal(job: SealJob): Promise<SealResult>;
	open(job: OpenJob): Promise<OpenResult>;
	close(): Promise<void>;
}

/** The bundle has the worker beside the main program, under this name. */
const workerUrl = new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./codec-worker.js", import.meta.url);
/** More would take processors from guests and 40 MiB of memory each; two hash and seal as fast as storage takes it. */
const maxThreads = 2;
/** Node frees the buffer of each sealed block when it collects the young generation: often, so that few wait for it. */
const resourceLimits = { maxYoungGenerationSizeMb: 2 };
/** A thread has the next job at hand when it ends one. */
const jobsPerThread = 2;

interface Thread {
	worker: Worker;
	/** Answers come in the order of the jobs. */
	waiting: { resolve(result: unknown): void; reject(error: SternaError): void }[];
	/** Rooms that it knows. */
	seen: Set<number>;
}

/**
 * A codec with a thread per processor, at most 2, each started when it is first needed. They do not keep the process alive
 * while nothing is asked of them.
 */
export function startCodec(): Codec {
	const threads: Thread[] = [];
	const queue: (() => void)[] = [];
	const rooms = new SharedRooms();
	/** By size, of which there are few: powers of two. What is never written of one takes no memory. */
	const spare = new Map<number, SharedArrayBuffer[]>();
	/** What is given back twice must not be lent to two. */
	const lent = new WeakSet<SharedArrayBuffer>();
	const wanted = Math.max(1, Math.min(maxThreads, availableParallelism()));
	let closed = false;

	function startThread(): Thread {
		const thread: Thread = {
			worker: new Worker(workerUrl, { name: "repository-codec", resourceLimits }),
			waiting: [],
			seen: new Set(),
		};
		thread.worker.unref();
		thread.worker.on("message", (result: Carried) => {
			thread.waiting.shift()?.resolve(rooms.arrived(result, thread.seen));
			if (thread.waiting.length === 0) thread.worker.unref();
			queue.shift()?.();
		});
		const fail = (cause: unknown) => {
			const at = threads.indexOf(thread);
			if (at >= 0) threads.splice(at, 1);
			const error = closed
				? new SternaError("cancelled", "the repository was closed")
				: new SternaError("internal", "a thread that hashes and seals blocks ended", { cause });
			for (const { reject } of thread.waiting.splice(0)) reject(error);
			queue.shift()?.();
		};
		thread.worker.on("error", fail);
		thread.worker.on("exit", fail);
		threads.push(thread);
		return thread;
	}

	/** The thread with the least to do; null when all have enough. */
	function freeThread(): Thread | null {
		const least = threads.reduce<Thread | null>(
			(best, thread) => (best && best.waiting.length <= thread.waiting.length ? best : thread),
			null,
		);
		if (least?.waiting.length === 0) return least;
		if (threads.length < wanted) return startThread();
		return least && least.waiting.length < jobsPerThread ? least : null;
	}

	function run<Result>(job: HashJob | SealJob | OpenJob): Promise<Result> {
		return new Promise<Result>((resolve, reject) => {
			const start = () => {
				if (closed) return reject(new SternaError("cancelled", "the repository was closed"));
				const thread = freeThread();
				if (!thread) return void queue.push(start);
				try {
					rooms.post(thread.worker, job, thread.seen);
				} catch (cause) {
					// Nothing was sent, so no answer may be expected: each would go to the job before.
					return reject(new SternaError("internal", "a batch of blocks cannot be given to a thread", { cause }));
				}
				thread.worker.ref();
				// The worker answers a job with its own kind of result, and jobs in their order.
				thread.waiting.push({ resolve: (result) => resolve(result as Result), reject });
			};
			start();
		});
	}

	return {
		room(lengthBytes) {
			const sizeBytes = 2 ** Math.ceil(Math.log2(Math.max(1, lengthBytes)));
			let memory = spare.get(sizeBytes)?.pop();
			if (!memory) {
				memory = new SharedArrayBuffer(sizeBytes);
				rooms.add(rooms.size, memory);
			}
			lent.add(memory);
			return new Uint8Array(memory, 0, lengthBytes);
		},
		giveBack({ buffer }) {
			if (!(buffer instanceof SharedArrayBuffer) || !lent.delete(buffer)) return;
			const kept = spare.get(buffer.byteLength);
			if (kept) kept.push(buffer);
			else spare.set(buffer.byteLength, [buffer]);
		},
		hash: (job) => run<HashResult>(job),
		seal: (job) => run<SealResult>(job),
		open: (job) => run<OpenResult>(job),
		async close() {
			closed = true;
			for (const start of queue.splice(0)) start();
			await Promise.all(threads.splice(0).map(({ worker }) => worker.terminate()));
		},
	};
}
