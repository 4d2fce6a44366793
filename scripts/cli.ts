import { Command } from "commander";
import { SternaError } from "../packages/shared/src/errors.ts";
import { exploreCommand } from "./explore.ts";

/** Commands load what they need when they run, so that `--help` works on a bare checkout. */
const program = new Command("sterna")
	.description("Sterna: allocates, backs up and moves virtual machines. Commands of the repository.")
	.showHelpAfterError()
	.helpCommand(false);

program
	.command("demo")
	.description("three servers and four real guests on this machine; the console on http://localhost:3000")
	.option("--check", "start, wait until everything runs, print one JSON line, and end it all")
	.option("--port <port>", "port of the console", "3000")
	.action(async (options: { check?: boolean; port: string }) => {
		const { runDemo } = await import("../demo/main.ts");
		process.exitCode = await runDemo({ check: options.check === true, consolePort: Number(options.port) });
	});

program
	.command("test")
	.description("install what is needed, then lint, type checks, builds and every test")
	.option("--only <project>", "one rung of the ladder: pure, real or browser")
	.action(async (options: { only?: string }) => {
		const { runTests } = await import("./test.ts");
		process.exitCode = await runTests(options.only);
	});

program
	.command("bench")
	.description("measure, side by side where there is a peer; prints figures")
	.argument(
		"<what>",
		"soak: live migrations in a row under a writing guest; idle: what an idle agent costs; backup: beside restic, borg and virtnbdbackup; chain: what mishaps cost the next backup; points: every recovery point boots",
	)
	.option("--moves <number>", "how many migrations", "50")
	.option("--rounds <number>", "how many rounds of backups, an odd number", "3")
	.option("--json", "print JSON")
	.action(async (what: string, options: { moves: string; rounds: string; json?: boolean }) => {
		const { runBackupBench, runBench, runProof } = await import("../bench/main.ts");
		if (what === "backup") {
			process.exitCode = await runBackupBench({ rounds: options.rounds, json: options.json === true });
			return;
		}
		if (what === "chain" || what === "points") {
			process.exitCode = await runProof(what, options.json === true);
			return;
		}
		process.exitCode = await runBench(what, { moves: Number(options.moves), json: options.json === true });
	});

program
	.command("dev")
	.description("the demo with the console in development mode: pages reload as you edit")
	.option("--port <port>", "port of the console", "3000")
	.action(async (options: { port: string }) => {
		const { runDemo } = await import("../demo/main.ts");
		process.exitCode = await runDemo({ check: false, consolePort: Number(options.port), development: true });
	});

program.addCommand(exploreCommand());

try {
	await program.parseAsync();
} catch (error) {
	if (!(error instanceof SternaError)) throw error;
	console.error(`sterna: ${error.message}${error.cure ? `\n        ${error.cure}` : ""}`);
	process.exitCode = 1;
}
