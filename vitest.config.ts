import { defineConfig } from "vitest/config";

/** `.sterna` holds what is built for guests, for a while a whole Debian with its /proc: nothing to search for tests. */
const everywhere = ["**/node_modules/**", "**/.next/**", "**/dist/**", "**/.sterna/**"];

/** `expect.poll` waits for what will come, however busy the machine is: vitest gives up after one second by itself. */
const patient = { poll: { timeout: 60_000 } };

/**
 * Three rungs of the ladder: `pure` runs in parallel; `real` (QEMU, PostgreSQL, processes) and `browser` take the machine
 * one file at a time.
 */
export default defineConfig({
	test: {
		reporters: ["default", "./scripts/closing-reporter.ts"],
		projects: [
			{
				test: {
					name: "pure",
					include: ["**/*.test.ts"],
					exclude: [...everywhere, "**/*.real.test.ts"],
					// By default one core is left free: on two cores nothing would run in parallel.
					maxWorkers: "100%",
					expect: patient,
					testTimeout: 120_000,
					hookTimeout: 120_000,
				},
			},
			{
				test: {
					name: "real",
					include: ["**/*.real.test.ts"],
					exclude: everywhere,
					fileParallelism: false,
					expect: patient,
					testTimeout: 180_000,
					hookTimeout: 180_000,
				},
			},
			{
				test: {
					name: "browser",
					include: ["**/*.e2e.ts"],
					exclude: everywhere,
					fileParallelism: false,
					expect: patient,
					testTimeout: 300_000,
					hookTimeout: 300_000,
				},
			},
		],
	},
});
