import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { startDemo } from "../demo/demo.ts";
import { demoFolder, prepare } from "../demo/prepare.ts";
import { chain } from "./chain.ts";
import { idle } from "./idle.ts";
import { points, pointsAreGood } from "./points.ts";
import { repositoryBench } from "./repository.ts";
import { soak } from "./soak.ts";

/**
 * `./sterna bench backup`: Sterna beside restic, borg and virtnbdbackup on the same disk. In a process of its own: it needs no
 * console. Returns the exit code.
 */
export function runBackupBench({ rounds, json }: { rounds: string; json: boolean }): Promise<number> {
	const entry = new URL("backup/main.ts", import.meta.url).pathname;
	const child = spawn(process.execPath, [entry, `--rounds=${rounds}`, ...(json ? ["--json"] : [])], {
		stdio: "inherit",
	});
	return new Promise((resolve, reject) => {
		child.on("error", reject);
		child.on("exit", (code) => resolve(code ?? 1));
	});
}

/**
 * `./sterna bench chain`: what each mishap costs the next backup. `./sterna bench points`: every recovery point boots, and an
 * instant restore outlives its repository's absence. Returns the exit code.
 */
export async function runProof(what: "chain" | "points", json: boolean): Promise<number> {
	const say = (line: string) => console.error(`bench: ${line}`);
	if (what === "chain") {
		const { rows, ok } = await chain(say);
		console.log(json ? JSON.stringify(rows) : rows.map(lines).join("\n\n"));
		return ok ? 0 : 1;
	}
	const result = await points(20, say);
	console.log(json ? JSON.stringify(result) : lines(result));
	return pointsAreGood(result) ? 0 : 1;
}

/** `./sterna bench <what>`: measures on a rig of its own and prints figures. Returns the exit code. */
export async function runBench(what: string, { moves, json }: { moves: number; json: boolean }): Promise<number> {
	if (what === "repository") {
		const folder = await mkdtemp(join(tmpdir(), "sterna-bench-"));
		const blockSizes = [64, 128, 256].map((size) => size * 1024);
		const figures = await repositoryBench(folder, blockSizes, (line) => console.error(`bench: ${line}`));
		await rm(folder, { recursive: true, force: true });
		console.log(json ? JSON.stringify(figures) : figures.map(lines).join("\n\n"));
		return 0;
	}
	if (what !== "soak" && what !== "idle") {
		throw new SternaError("invalid", `there is no bench "${what}"`, {
			cure: "soak, idle, repository, backup, chain or points",
		});
	}
	if (!Number.isSafeInteger(moves) || moves < 2) {
		throw new SternaError("invalid", "--moves is a whole number of at least 2");
	}
	const say = (line: string) => console.error(`bench: ${line}`);
	const prepared = await prepare(say);
	const demo = await startDemo({
		id: "sb",
		subnet: 78,
		serverCount: what === "soak" ? 2 : 1,
		consolePort: 3078,
		folder: demoFolder("bench"),
		...prepared,
		say,
	});
	const interrupt = () => void demo.close().then(() => process.exit(130));
	process.once("SIGINT", interrupt);
	try {
		if (what === "idle") {
			const result = await idle(demo);
			console.log(json ? JSON.stringify(result) : lines(result));
			return 0;
		}
		const result = await soak(demo, moves, say);
		console.log(json ? JSON.stringify(result) : lines(result));
		const clean = result.missedHeartbeats + result.duplicateHeartbeats + result.diskErrors + result.memoryErrors;
		return result.ok === moves && clean === 0 && result.restarts === 0 ? 0 : 1;
	} finally {
		process.off("SIGINT", interrupt);
		await demo.close();
	}
}

function lines(result: object): string {
	return Object.entries(result)
		.map(([key, value]) => `${key.padEnd(22)} ${typeof value === "object" ? JSON.stringify(value) : value}`)
		.join("\n");
}
