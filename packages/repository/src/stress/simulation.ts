import { check, free, read, thin, verify, write } from "./activities.ts";
import type { Actor } from "./scheduler.ts";
import { type Mistake, Violation, World } from "./world.ts";

/** What one simulated stretch of a repository's life was made of. */
export interface SimulationReport {
	seed: number;
	steps: number;
	rounds: number;
	crashes: number;
	committed: number;
	pruned: number;
	/** Manifests that were restored and compared. */
	restores: number;
	packsDeleted: number;
}

export interface SimulationOptions {
	seed: number;
	rounds: number;
	stepsPerRound: number;
	mistake?: Mistake;
}

const crashRate = 0.002;
const cast = [
	...Array.from({ length: 10 }, () => ({ role: "writer", act: write, rest: 0 })),
	...Array.from({ length: 2 }, () => ({ role: "collector", act: free, rest: 60 })),
	{ role: "pruner", act: thin, rest: 150 },
	...Array.from({ length: 2 }, () => ({ role: "reader", act: read, rest: 30 })),
	{ role: "scrubber", act: check, rest: 400 },
] as const;

/**
 * Ten writers, two collectors, a pruner, two readers and a scrubber use one repository, in virtual time from a seed: calls
 * are delayed and reordered, answers lost, actors die in any call, clocks are a year wrong. After each round everyone who is
 * not held up comes to an end, and every visible point is restored and compared with what its writer meant.
 * @throws {Violation} when something is that must never be; the seed repeats it.
 */
export async function simulate({ seed, rounds, stepsPerRound, mistake }: SimulationOptions): Promise<SimulationReport> {
	const world = new World(seed, mistake ? { mistake } : {});
	const { random, scheduler } = world;
	const report = { seed, steps: 0, rounds: 0, crashes: 0, committed: 0, pruned: 0, restores: 0, packsDeleted: 0 };
	const busy = new Set<Actor>();
	let failure: unknown;
	let isOpen = true;

	/** One place in the cast; when its actor dies, another takes over with nothing of its memory. */
	const play = async ({ role, act, rest }: (typeof cast)[number], index: number) => {
		const guestId = world.newGuestId();
		for (let life = 0; isOpen; life++) {
			const actor: Actor = { name: `${role} ${index}.${life}`, isDead: false };
			const died = new Promise<void>((resolve) => deaths.set(actor, resolve));
			const opened = world.open(actor);
			const live = async () => {
				while (isOpen) {
					busy.add(actor);
					await act(world, opened, guestId);
					busy.delete(actor);
					for (let pause = random.below(rest + 1); pause > 0 && isOpen; pause--) await scheduler.call(actor, () => {});
				}
			};
			await Promise.race([live(), died]);
			busy.delete(actor);
			deaths.delete(actor);
		}
	};
	const deaths = new Map<Actor, () => void>();
	const crashSome = (actor: Actor) => {
		if (!isOpen || !random.chance(crashRate)) return;
		report.crashes++;
		scheduler.crash(actor);
		deaths.get(actor)?.();
	};

	for (; report.rounds < rounds; report.rounds++) {
		isOpen = true;
		const until = scheduler.steps + stepsPerRound;
		const players = cast.map((part, index) =>
			play(part, index).catch((error: unknown) => {
				failure ??= error;
			}),
		);
		await scheduler.runUntil(() => failure !== undefined || scheduler.steps >= until, crashSome);
		isOpen = false;
		let haveEnded = false;
		void Promise.all(players).then(() => {
			haveEnded = true;
		});
		await scheduler.runUntil(
			() => failure !== undefined || haveEnded,
			() => {},
		);
		if (failure !== undefined) throw describe(failure, seed, scheduler.steps);
		report.restores += await verify(world).catch((error: unknown) => {
			throw describe(error, seed, scheduler.steps);
		});
	}
	const points = [...world.points.values()];
	report.steps = scheduler.steps;
	report.committed = points.filter(({ outcome }) => outcome === "committed").length;
	report.pruned = points.filter(({ isGone }) => isGone).length;
	return report;
}

function describe(error: unknown, seed: number, steps: number): Violation {
	const text = error instanceof Error ? error.message : String(error);
	return new Violation(`seed ${seed}, step ${steps}: ${text}`, { cause: error });
}
