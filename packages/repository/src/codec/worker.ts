import { setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { release } from "../format/release.ts";
import { type Carried, SharedRooms } from "./carrying.ts";
import { type HashJob, type OpenJob, runHash, runOpen, runSeal, type SealJob } from "./jobs.ts";

/** One thread of the codec: takes a job, answers with its result, both without copying the content. */
export type Job = HashJob | SealJob | OpenJob;

/** The niceness of saving (setpriority(2)): guests have ten times the claim to a processor. A guest may wait for what is read. */
const nicenessOf: Record<Job["is"], number> = { hash: 10, seal: 10, open: 0 };
let niceness = 0;
const rooms = new SharedRooms();
const seen = new Set<number>();

parentPort?.on("message", (carriedJob: Carried) => {
	// What the codec carries here are jobs.
	const job = rooms.arrived(carriedJob, seen) as unknown as Job;
	beNice(nicenessOf[job.is]);
	if (parentPort) rooms.post(parentPort, resultOf(job), seen);
});

function resultOf(job: Job) {
	switch (job.is) {
		case "hash":
			return runHash(job);
		case "seal":
			return runSeal(job);
		case "open": {
			const result = runOpen(job);
			release(job.sealed);
			return result;
		}
	}
}

/** Of this thread alone: on Linux each has its own. Only root may take it back; who is not stays behind guests. */
function beNice(wanted: number): void {
	if (wanted === niceness) return;
	niceness = wanted;
	try {
		setPriority(0, wanted);
	} catch {}
}
