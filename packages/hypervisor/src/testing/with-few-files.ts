import { openSync } from "node:fs";
import { findBySocket, isAlive, type ProcessIdentity, readStartTicks } from "../qemu/process.ts";

/** Plays an agent that can open no more files: says whether it still knows that the process of its arguments is there. */
const [pid = "", socketPath = ""] = process.argv.slice(2);
const identity: ProcessIdentity = { pid: Number(pid), startTicks: (await readStartTicks(Number(pid))) ?? 0 };
try {
	for (;;) openSync("/dev/null", "r");
} catch {
	const alive = await isAlive(identity);
	const found = await findBySocket([socketPath]).then(
		(processes) => (processes.size > 0 ? "found" : "no process"),
		() => "cannot tell",
	);
	process.stdout.write(JSON.stringify({ alive, found }));
}
