import { readFileSync } from "node:fs";
import type { Demo } from "../demo/demo.ts";

/** What an agent costs while its guests idle. */
export interface IdleResult {
	guests: number;
	/** Resident set of the agent's process, without its guests. */
	agentResidentMiB: number;
	/** Share of one core, averaged over the window. */
	agentCpuPercent: number;
	windowMs: number;
}

const windowMs = 30_000;
const clockTicksPerSecond = 100; // USER_HZ, fixed by the kernel's ABI (proc(5))

/** Starts four light guests on one server and looks at its agent for half a minute. */
export async function idle(demo: Demo): Promise<IdleResult> {
	const [server] = demo.servers;
	for (let number = 1; number <= 4; number++) {
		await demo.addGuest({
			name: `idle-${number}`,
			pool: "shared",
			load: "light",
			beatMs: 1000,
			server: server?.name ?? "",
		});
	}
	const pid = server?.agentPid();
	if (!pid) throw new Error("the agent is not running");
	const before = cpuTicks(pid);
	const startedAt = performance.now();
	await new Promise((resolve) => setTimeout(resolve, windowMs));
	const elapsedMs = performance.now() - startedAt;
	const cpuMs = ((cpuTicks(pid) - before) / clockTicksPerSecond) * 1000;
	return {
		guests: 4,
		agentResidentMiB: Math.round(residentKiB(pid) / 1024),
		agentCpuPercent: Math.round((cpuMs / elapsedMs) * 1000) / 10,
		windowMs: Math.round(elapsedMs),
	};
}

/** utime + stime, fields 14 and 15 of /proc/<pid>/stat (proc(5)); the name in parentheses may hold spaces. */
function cpuTicks(pid: number): number {
	const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
		.replace(/^.*\) /, "")
		.split(" ");
	return Number(fields[11]) + Number(fields[12]);
}

function residentKiB(pid: number): number {
	return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}
