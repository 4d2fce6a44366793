import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { type HashJob, type OpenJob, runHash, runOpen, runSeal, type SealJob } from "./jobs.ts";

/** One thread of the codec: takes a job, answers with its result, both without copying the content. */
export type Job = HashJob | SealJob | OpenJob;

/** The niceness of saving (setpriority(2)): guests have ten times the claim to a processor. A guest may wait for what is read. */
const nicenessOf: Record<Job["is"], number> = { hash: 10, seal: 10, open: 0 };
let niceness = 0;

parentPort?.on("message", (job: Job) => {
	beNice(nicenessOf[job.is]);
	switch (job.is) {
		case "hash": {
			const result = runHash(job);
			parentPort?.postMessage(result, [result.content.buffer, result.hashes.buffer, result.zeros.buffer]);
			return;
		}
		case "seal": {
			const result = runSeal(job);
			parentPort?.postMessage(result, [result.content.buffer, result.sealed.buffer]);
			return;
		}
		case "open": {
			const result = runOpen(job);
			parentPort?.postMessage(result, [result.sealed.buffer, result.content.buffer]);
			return;
		}
	}
});

/** Of this thread alone: on Linux each has its own. Only root may take it back; who is not stays behind guests. */
function beNice(wanted: number): void {
	if (wanted === niceness) return;
	niceness = wanted;
	try {
		setPriority(0, wanted);
	} catch {}
}
