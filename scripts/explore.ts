import { Command, Option } from "commander";
import type { Break } from "../packages/migration/src/explore/effects.ts";
import type { Exploration } from "../packages/migration/src/explore/search.ts";

const breaks: Record<Break, string> = {
	release: "the source tells the target to run before it has written that it released the guest",
	"early-run": "the target lets the CPUs go when memory is complete, without being told",
	epoch: "agents obey grants with lower epochs than they have seen",
};

/** `./sterna explore handover`: exits 0 when no interleaving breaks the hand-over, 1 with the shortest way to what does. */
export function exploreCommand(): Command {
	const handover = new Command("handover")
		.description("every interleaving of messages, losses, repetitions and crashes of the hand-over of a guest")
		.addOption(new Option("--break <mistake>", "build a mistake in, which must be found").choices(Object.keys(breaks)))
		.option("--json", "print JSON")
		.action(async (options: { break?: Break; json?: boolean }) => {
			const { exploreHandOver, fullBounds, mistakeBounds } = await import(
				"../packages/migration/src/explore/search.ts"
			);
			const startedAt = performance.now();
			const total: Exploration = { states: 0, transitions: 0, depth: 0, violations: 0, violation: null, trace: [] };
			for (const bounds of options.break ? mistakeBounds : fullBounds) {
				const found = exploreHandOver(bounds, options.break ?? null);
				total.states += found.states;
				total.transitions += found.transitions;
				total.depth = Math.max(total.depth, found.depth);
				if (found.violation === null) continue;
				Object.assign(total, { violations: found.violations, violation: found.violation, trace: found.trace });
				break;
			}
			const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
			console.log(options.json ? JSON.stringify({ ...total, seconds }) : asText(total, seconds, options.break));
			process.exitCode = total.violations > 0 ? 1 : 0;
		});
	const repository = new Command("repository")
		.description("lives of a repository in virtual time: writers, collections, prunes, scrubs, deaths, wrong clocks")
		.option("--seconds <seconds>", "how long", "60")
		.option("--seed <seed>", "the first seed; one is repeated with --seconds 0", "1")
		.option("--json", "print JSON")
		.action(async (options: { seconds: string; seed: string; json?: boolean }) => {
			const { exploreRepository } = await import("../packages/repository/src/stress/explore.ts");
			const found = await exploreRepository({ seconds: Number(options.seconds), firstSeed: Number(options.seed) });
			console.log(options.json ? JSON.stringify(found) : asLines(found));
			process.exitCode = found.violations.length > 0 ? 1 : 0;
		});
	return new Command("explore")
		.description("prove by trying everything, or as much as time allows")
		.addCommand(handover)
		.addCommand(repository);
}

function asLines(figures: object): string {
	return Object.entries(figures)
		.map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join("\n  ") || "none" : value}`)
		.join("\n");
}

function asText(
	{ states, transitions, depth, violations, violation, trace }: Exploration,
	seconds: number,
	mistake?: Break,
): string {
	const figures = `${states} states, ${transitions} transitions, depth ${depth}, ${violations} violations, ${seconds} s`;
	const intro = mistake ? [`Mistake built in: ${breaks[mistake]}.`] : [];
	if (violation === null) return [...intro, figures].join("\n");
	const width = String(trace.length).length;
	const lines = trace.map((text, index) => `  ${String(index + 1).padStart(width)}. ${text}`);
	return [...intro, `Violation: ${violation}. The shortest way to it:`, ...lines, figures].join("\n");
}
