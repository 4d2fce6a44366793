import { parentPort } from "node:worker_threads";
import { type HashJob, type OpenJob, runHash, runOpen, runSeal, type SealJob } from "./jobs.ts";

/** One thread of the codec: takes a job, answers with its result, both without copying the content. */
export type Job = HashJob | SealJob | OpenJob;

parentPort?.on("message", (job: Job) => {
	switch (job.is) {
		case "hash": {
			const result = runHash(job);
			parentPort?.postMessage(result, [result.content.buffer, result.hashes.buffer, result.zeros.buffer]);
			return;
		}
		case "seal": {
			const result = runSeal(job);
			parentPort?.postMessage(result, [result.content.buffer, result.hashes.buffer, result.sealed.buffer]);
			return;
		}
		case "open": {
			const result = runOpen(job);
			parentPort?.postMessage(result, [result.sealed.buffer, result.content.buffer]);
			return;
		}
	}
});
