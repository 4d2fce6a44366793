import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildGuestImage } from "../demo/guest/build.ts";
import { closingLine, type Tally } from "./closing-reporter.ts";
import { ensureSystemPackages, testNeeds } from "./system/packages.ts";
import { ensureQemu } from "./system/qemu.ts";

const root = new URL("..", import.meta.url).pathname;

/** Steps of `./sterna test`, in the order in which they fail fastest. Each counts as one test of its own. */
const checks = [
	{ name: "lint", command: "biome", args: ["ci", "--colors=off", "."] },
	{ name: "type check", command: "turbo", args: ["run", "typecheck", "--output-logs=errors-only"] },
	{ name: "type check of scripts", command: "tsc", args: ["-p", "."] },
	{ name: "build", command: "turbo", args: ["run", "build", "--output-logs=errors-only"] },
];

/**
 * Installs what is missing, then runs checks and tests; the last line says `N passed, N failed`.
 * @returns the exit code: 0 only when nothing failed.
 */
export async function runTests(only?: string): Promise<number> {
	const startedAt = Date.now();
	const tallies = mkdtempSync(join(tmpdir(), "sterna-tally-"));
	const tallyFile = join(tallies, "tally.jsonl");
	const sum: Tally = { passed: 0, failed: 0, skipped: 0 };
	try {
		await ensureSystemPackages(testNeeds);
		await ensureQemu();
		await buildGuestImage(join(root, ".sterna/guest"));
		if (!only || only === "browser") {
			for (const check of checks) {
				console.log(`\n── ${check.name}`);
				const passed = (await run(check.command, check.args)) === 0;
				sum[passed ? "passed" : "failed"]++;
			}
		}
		for (const project of only ? [only] : ["pure", "real", "browser"]) {
			console.log(`\n── ${project} tests`);
			const code = await run("vitest", ["run", "--project", project], { STERNA_TALLY: tallyFile });
			const tally = readTally(tallyFile);
			sum.passed += tally.passed;
			sum.skipped += tally.skipped;
			sum.failed += code === 0 ? tally.failed : Math.max(1, tally.failed);
			rmSync(tallyFile, { force: true });
		}
	} finally {
		rmSync(tallies, { recursive: true, force: true });
	}
	console.log(`\n${Math.round((Date.now() - startedAt) / 1000)} s in all`);
	console.log(closingLine(sum));
	return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

function run(command: string, args: string[], env: Record<string, string> = {}): Promise<number> {
	const path = `${join(root, "node_modules/.bin")}:${process.env.PATH}`;
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, PATH: path, ...env } });
		child.on("error", reject);
		child.on("exit", (code) => resolve(code ?? 1));
	});
}

/** The tally of the last vitest run; nothing when it died before its end. */
function readTally(file: string): Tally {
	try {
		const lines = readFileSync(file, "utf8").trim().split("\n");
		return JSON.parse(lines.at(-1) ?? "") as Tally;
	} catch {
		return { passed: 0, failed: 0, skipped: 0 };
	}
}
