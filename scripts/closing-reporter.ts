import { appendFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

/** Counts of one run: a file that throws while loading counts as one failure. */
export interface Tally {
	passed: number;
	failed: number;
	skipped: number;
}

/** Adds up what vitest reports of its modules. */
export function tally(modules: readonly TestModule[]): Tally {
	const sum: Tally = { passed: 0, failed: 0, skipped: 0 };
	for (const module of modules) {
		const states = [...module.children.allTests()].map((test) => test.result().state);
		for (const state of states) sum[state === "passed" || state === "failed" ? state : "skipped"]++;
		if (module.state() === "failed" && !states.includes("failed")) sum.failed++;
	}
	return sum;
}

/** The plain line that any reader recognises: `N passed, N failed`. */
export function closingLine({ passed, failed, skipped }: Tally): string {
	return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Prints the closing line last, or appends the tally to `STERNA_TALLY` so that `./sterna test` can add up several runs. */
export default class ClosingReporter implements Reporter {
	onTestRunEnd(modules: readonly TestModule[]): void {
		const sum = tally(modules);
		const file = process.env.STERNA_TALLY;
		if (file) appendFileSync(file, `${JSON.stringify(sum)}\n`);
		else process.on("exit", () => console.log(closingLine(sum)));
	}
}
