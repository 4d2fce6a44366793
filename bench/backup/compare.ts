import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { median } from "../statistics.ts";
import type { Contestant, Step } from "./contestant.ts";
import { makeChangedDisk, makeDisk } from "./disk.ts";
import { round } from "./measure.ts";

/** Medians of one step of one tool; null where the tool cannot run here. */
export type StepResult = { wallS: number; cpuS: number; storedBytes?: number; qemuCpuS?: number } | null;
type Tool = Contestant["name"];
export type ByTool = Record<Tool, StepResult>;

const tools: Tool[] = ["sterna", "restic", "borg", "virtnbdbackup"];

/** The figures of `./sterna bench backup`. */
export interface Comparison {
	full: ByTool;
	incremental: ByTool;
	restore: ByTool;
	/** What each tool did, or why it could not. */
	about: Record<Tool, string>;
	rounds: number;
}

export interface Entry {
	name: Tool;
	/** Throws with the reason when the tool cannot run here. */
	open(): Promise<Contestant>;
}

export interface Compare {
	/** Made by this: the disk, as a sparse raw file. */
	base: string;
	folder: string;
	rounds: number;
	/** Takes those that were opened, so that whoever interrupts can close them. */
	open: Contestant[];
	say(line: string): void;
}

/**
 * Runs every tool on the same disks, `rounds` times, each round in another order, so that none always finds the machine as
 * the same other one left it. Page cache warm for all.
 */
export async function compare(
	entries: readonly Entry[],
	{ base, folder, rounds, open, say }: Compare,
): Promise<Comparison> {
	const changed = join(folder, "changed.raw");
	await makeDisk(base);
	await makeChangedDisk(base, changed);
	const about: Partial<Record<Tool, string>> = {};
	const steps: Record<"full" | "incremental" | "restore", Partial<Record<Tool, Step[]>>> = {
		full: {},
		incremental: {},
		restore: {},
	};
	const drop = (name: Tool, error: unknown) => {
		about[name] = error instanceof Error ? error.message.split("\n").slice(0, 3).join(" ") : String(error);
		for (const kind of [steps.full, steps.incremental, steps.restore]) delete kind[name];
		say(`${name} cannot run here: ${about[name]}`);
	};
	try {
		for (const entry of entries) {
			try {
				open.push(await entry.open());
			} catch (error) {
				drop(entry.name, error);
			}
		}
		const failed = new Set<Tool>();
		for (let turn = 0; turn < rounds; turn++) {
			const order = open.map((_, index) => open[(index + turn) % open.length]).filter((one) => one !== undefined);
			for (const contestant of order.filter((one) => !failed.has(one.name))) {
				const own = join(folder, contestant.name);
				rmSync(own, { recursive: true, force: true });
				mkdirSync(own);
				try {
					const measured = await contestant.round({ base, changed, folder: own });
					about[contestant.name] = contestant.about;
					for (const kind of ["full", "incremental", "restore"] as const) {
						const list = steps[kind][contestant.name] ?? [];
						list.push(measured[kind]);
						steps[kind][contestant.name] = list;
					}
					const walls = Object.values(measured).map((step) => `${step.wallS} s`);
					say(`round ${turn + 1} of ${rounds}: ${contestant.name}: ${walls.join(", ")}`);
				} catch (error) {
					failed.add(contestant.name);
					drop(contestant.name, error);
				} finally {
					rmSync(own, { recursive: true, force: true });
				}
			}
		}
	} finally {
		for (const contestant of open.splice(0)) await contestant.close();
	}
	const byTool = (kind: keyof typeof steps): ByTool => {
		const [sterna, restic, borg, virtnbdbackup] = tools.map((tool) => medians(steps[kind][tool]));
		return { sterna: sterna ?? null, restic: restic ?? null, borg: borg ?? null, virtnbdbackup: virtnbdbackup ?? null };
	};
	return {
		full: byTool("full"),
		incremental: byTool("incremental"),
		restore: byTool("restore"),
		about: {
			sterna: about.sterna ?? "not asked for",
			restic: about.restic ?? "not asked for",
			borg: about.borg ?? "not asked for",
			virtnbdbackup: about.virtnbdbackup ?? "not asked for",
		},
		rounds,
	};
}

function medians(steps: Step[] | undefined): StepResult {
	if (!steps || steps.length === 0) return null;
	const stored = steps.flatMap((step) => (step.storedBytes === null ? [] : [step.storedBytes]));
	const qemu = steps.flatMap((step) => (step.qemuCpuS === undefined ? [] : [step.qemuCpuS]));
	return {
		wallS: round(median(steps.map((step) => step.wallS))),
		cpuS: round(median(steps.map((step) => step.cpuS))),
		...(stored.length > 0 ? { storedBytes: median(stored) } : {}),
		...(qemu.length > 0 ? { qemuCpuS: round(median(qemu)) } : {}),
	};
}
