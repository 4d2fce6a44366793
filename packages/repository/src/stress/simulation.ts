import type { GuestId } from "@sterna/shared/ids";
import { check, free, linger, read, thin, verify, write } from "./activities.ts";
import type { Mistake } from "./mistakes.ts";
import type { Actor } from "./scheduler.ts";
import { Violation, World } from "./world.ts";

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
	packsMoved: number;
	collections: number;
	/** Pieces that were read although their points were pruned and collections went by since the reading began. */
	heldReads: number;
}

export interface SimulationOptions {
	seed: number;
	rounds: number;
	stepsPerRound: number;
	mistake?: Mistake;
}

const cast = [
	...Array.from({ length: 10 }, () => ({ role: "writer", act: write, rest: 100 })),
	...Array.from({ length: 2 }, () => ({ role: "collector", act: free, rest: 60 })),
	{ role: "pruner", act: thin, rest: 150 },
	...Array.from({ length: 2 }, () => ({ role: "reader", act: read, rest: 30 })),
	{ role: "scrubber", act: check, rest: 400 },
] as const;
const lingerer = { role: "lingerer", act: linger, rest: 20 } as const;
type Part = (typeof cast)[number] | typeof lingerer;

/**
 * Ten writers, two collectors, a pruner, two readers, in some lives four that read for a long time, and a scrubber use one repository, in virtual time from a seed: calls
 * are delayed and reordered, answers lost, actors die in any call, clocks are a year wrong. After each round everyone who is
 * not held up comes to an end, and every visible point is restored and compared with what its writer meant.
 * @throws {Violation} when something is that must never be; the seed repeats it.
 */
export async function simulate({ seed, rounds, stepsPerRound, mistake }: SimulationOptions): Promise<SimulationReport> {
	const world = new World(seed, mistake);
	await world.prepare();
	const { scheduler } = world;
	const theatre = new Theatre(world);
	const giveIntervalsBack = scheduler.takeIntervals();
	let restores = 0;
	try {
		for (let round = 0; round < rounds; round++) {
			await theatre.play(stepsPerRound);
			restores += await verify(world);
		}
	} catch (error) {
		const text = error instanceof Error ? error.message : String(error);
		throw new Violation(`seed ${seed}, step ${scheduler.steps}: ${text}`, { cause: error });
	} finally {
		giveIntervalsBack();
	}
	const points = [...world.points.values()];
	const committed = points.filter(({ outcome }) => outcome === "committed").length;
	const pruned = points.filter(({ isGone }) => isGone).length;
	const { crashes } = theatre;
	return {
		seed,
		steps: scheduler.steps,
		rounds,
		crashes,
		committed,
		pruned,
		restores,
		heldReads: world.heldReads,
		...world.deeds,
	};
}

/** Everybody's lives: who dies is followed by another, who knows nothing of what went before. */
class Theatre {
	readonly #world: World;
	readonly #deaths = new Map<Actor, () => void>();
	/** Of each part, through all of its lives: what one wrote down under it the next one finds. */
	readonly #guestIds: readonly GuestId[];
	readonly #cast: readonly Part[];
	#isOpen = false;
	crashes = 0;

	constructor(world: World) {
		this.#world = world;
		this.#cast = [...cast, ...Array.from({ length: world.weather.lingerers }, () => lingerer)];
		this.#guestIds = this.#cast.map(() => world.newGuestId());
	}

	/** Lets everybody act for so many steps, and then end what they are about. @throws what anybody met that must not be. */
	async play(steps: number): Promise<void> {
		const { scheduler, random, weather } = this.#world;
		this.#isOpen = true;
		let failure: unknown;
		let haveEnded = false;
		const ended = Promise.all(this.#cast.map((part, index) => this.#act(part, index)));
		ended.then(
			() => {
				haveEnded = true;
			},
			(error: unknown) => {
				failure = error;
			},
		);
		const until = scheduler.steps + steps;
		await scheduler.runUntil(
			() => failure !== undefined || scheduler.steps >= until,
			(actor) => {
				if (random.chance(weather.crashRate)) this.#crash(actor);
			},
		);
		this.#isOpen = false;
		await scheduler.runUntil(
			() => failure !== undefined || haveEnded,
			() => {},
		);
		if (failure !== undefined) throw failure;
	}

	async #act({ role, act, rest }: Part, index: number): Promise<void> {
		for (let life = 0; this.#isOpen; life++) {
			const actor: Actor = { name: `${role} ${index}.${life}`, isDead: false };
			const opened = this.#world.open(actor);
			const live = async () => {
				while (this.#isOpen) {
					await act(this.#world, opened, this.#guestIds[index] ?? this.#world.newGuestId());
					await this.#rest(actor, rest);
				}
			};
			const death = new Promise<void>((resolve) => this.#deaths.set(actor, resolve));
			await Promise.race([live(), death]);
			this.#deaths.delete(actor);
		}
	}

	async #rest(actor: Actor, atMost: number): Promise<void> {
		const { random, scheduler } = this.#world;
		for (let pause = random.below(atMost + 1); pause > 0 && this.#isOpen; pause--)
			await scheduler.call(actor, () => {});
	}

	#crash(actor: Actor): void {
		this.crashes++;
		this.#world.scheduler.crash(actor);
		this.#deaths.get(actor)?.();
	}
}
