import { expect, test } from "vitest";
import { free, thin, verify, write } from "./activities.ts";
import type { Actor } from "./scheduler.ts";
import { World } from "./world.ts";

const acts = { writer: write, collection: free, prune: thin };
/** Calls that each makes at most, nearly; a death behind the last call is none and is not counted. */
const reach = { writer: 45, collection: 60, prune: 12 };
const kinds = ["writer", "collection", "prune"] as const;

/** A repository in which one thing is done at a time, and may be cut short in any call. */
class Life {
	readonly world: World;
	readonly #guestId;

	constructor(seed: number) {
		this.world = new World(seed, undefined, { lossRate: 0, crashRate: 0, slowRate: 0, lingerers: 0 });
		this.#guestId = this.world.newGuestId();
	}

	/** Does one thing, or dies in its call number `dieAt`: with that call done, or not done. Returns whether it died. */
	async act(kind: keyof typeof acts, dieAt = Number.POSITIVE_INFINITY): Promise<boolean> {
		const { scheduler } = this.world;
		const actor: Actor = { name: kind, isDead: false };
		let calls = 0;
		let ended = false;
		let failure: unknown;
		acts[kind](this.world, this.world.open(actor), this.#guestId).then(
			() => {
				ended = true;
			},
			(error: unknown) => {
				failure = error;
			},
		);
		await scheduler.runUntil(
			() => ended || actor.isDead || failure !== undefined,
			() => {
				if (calls++ === dieAt) scheduler.crash(actor);
			},
		);
		if (failure !== undefined) throw failure;
		return actor.isDead;
	}

	/** Remembers how things are; the returned function brings that back. */
	remember(): () => void {
		const { objects, points } = this.world;
		const [oldObjects, oldPoints] = [[...objects], [...points].map(([id, point]) => [id, { ...point }] as const)];
		return () => {
			objects.clear();
			points.clear();
			for (const [key, data] of oldObjects) objects.set(key, data);
			for (const [id, point] of oldPoints) points.set(id, { ...point });
		};
	}
}

test("500 deaths in writer, collection and prune: every visible manifest restores bit by bit", {
	timeout: 300_000,
}, async () => {
	let [deaths, restores] = [0, 0];
	for (let seed = 1; deaths < 500; seed++) {
		const life = new Life(seed);
		await life.world.prepare();
		for (const kind of ["writer", "writer", "writer", "prune", "collection", "writer", "prune"] as const)
			await life.act(kind);
		const bringBack = life.remember();
		for (let death = 0; death < 60 && deaths < 500; death++) {
			const kind = life.world.random.pick(kinds);
			if (await life.act(kind, life.world.random.below(reach[kind]))) deaths++;
			restores += await verify(life.world);
			// Whoever comes after works with what the dead one left.
			if (death % 3 === 0) {
				await life.act("collection");
				restores += await verify(life.world);
			}
			bringBack();
		}
	}
	expect(restores).toBeGreaterThan(1000);
});
