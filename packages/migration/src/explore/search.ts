import { type Action, actions } from "./actions.ts";
import type { Break } from "./effects.ts";
import { isSettled, violationOf } from "./invariants.ts";
import { firstWorld, keyOf, type World } from "./world.ts";

export interface Bounds {
	/** How many moves the console grants: there, back, and there; a move that fails counts too. At most `maxMoves`. */
	moves: number;
	/** How often an agent may die and start again, on either side. */
	crashes: number;
	/** How often a held process may die. */
	deaths: number;
	/** How many servers may be lost for good, none or one; the console then grants the guest to the other. */
	losses: number;
	/** Stops with an error beyond this, so that a changed model does not fill the machine. */
	maxStates: number;
}

/** What `./sterna explore handover` runs: there and back under many faults, three moves under few, and a server lost for good. */
export const fullBounds: readonly Bounds[] = [
	{ moves: 2, crashes: 3, deaths: 1, losses: 0, maxStates: 5_000_000 },
	{ moves: 3, crashes: 1, deaths: 0, losses: 0, maxStates: 5_000_000 },
	{ moves: 1, crashes: 2, deaths: 1, losses: 1, maxStates: 5_000_000 },
	{ moves: 2, crashes: 1, deaths: 0, losses: 1, maxStates: 5_000_000 },
];

/** With a mistake built in: fewest moves and faults first, so that the trace has no step that is not needed. */
export const mistakeBounds: readonly Bounds[] = [
	{ moves: 1, crashes: 1, deaths: 0, losses: 0, maxStates: 5_000_000 },
	{ moves: 2, crashes: 0, deaths: 0, losses: 0, maxStates: 5_000_000 },
	{ moves: 2, crashes: 1, deaths: 0, losses: 0, maxStates: 5_000_000 },
];

export interface Exploration {
	states: number;
	transitions: number;
	/** Longest shortest way from the beginning. */
	depth: number;
	violations: number;
	violation: string | null;
	/** The shortest way to the violation, a sentence per step. */
	trace: string[];
}

/**
 * Tries everything that can happen, breadth first, with the product's own `transition`, `grantMove` and `settle`.
 * Ends at the first violation, which is then one of the nearest. When there is none it goes back from all settled states
 * along the steps that are no faults: a state that is not met on the way could never settle, and the guest were lost.
 */
export function exploreHandOver(bounds: Bounds, broken: Break | null = null): Exploration {
	const start = firstWorld(bounds);
	const ids = new Map<string, number>([[keyOf(start), 0]]);
	const parents = new Numbers();
	parents.push(0);
	const froms = new Numbers();
	const tos = new Numbers();
	const settled: number[] = isSettled(start) ? [0] : [];
	let layer: [number, World][] = [[0, start]];
	let transitions = 0;
	let depth = 0;

	const result = (violation: string | null, at: number, last?: string): Exploration => {
		const trace =
			violation === null ? [] : [...retrace(start, ids, pathTo(parents, at), broken), ...(last ? [last] : [])];
		return { states: ids.size, transitions, depth, violations: violation === null ? 0 : 1, violation, trace };
	};

	for (; layer.length > 0; depth++) {
		const next: [number, World][] = [];
		for (const [from, world] of layer) {
			for (const action of actions(world, broken)) {
				transitions++;
				const key = keyOf(action.world);
				let to = ids.get(key);
				if (to === undefined) {
					const violation = violationOf(action.world);
					if (violation) return result(violation, from, action.text);
					to = ids.size;
					if (to >= bounds.maxStates) throw new Error(`more than ${bounds.maxStates} states; lower the bounds`);
					ids.set(key, to);
					parents.push(from);
					if (isSettled(action.world)) settled.push(to);
					next.push([to, action.world]);
				}
				if (!action.fault && to !== from) {
					froms.push(from);
					tos.push(to);
				}
			}
		}
		layer = next;
	}
	const lost = firstUnreached(ids.size, froms, tos, settled);
	return lost === null
		? result(null, 0)
		: result("the guest can never settle on one host again, whatever gets through", lost);
}

/** The first state, in breadth-first order, that has no way to a settled one. */
function firstUnreached(states: number, froms: Numbers, tos: Numbers, settled: readonly number[]): number | null {
	const offsets = new Int32Array(states + 1);
	for (let i = 0; i < tos.length; i++) offsets[tos.at(i) + 1] = (offsets[tos.at(i) + 1] ?? 0) + 1;
	for (let i = 0; i < states; i++) offsets[i + 1] = (offsets[i + 1] ?? 0) + (offsets[i] ?? 0);
	const sources = new Int32Array(tos.length);
	const fill = offsets.slice();
	for (let i = 0; i < tos.length; i++) {
		const to = tos.at(i);
		const place = fill[to] ?? 0;
		sources[place] = froms.at(i);
		fill[to] = place + 1;
	}
	const reached = new Uint8Array(states);
	const stack = [...settled];
	for (const state of stack) reached[state] = 1;
	for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
		for (let i = offsets[state] ?? 0; i < (offsets[state + 1] ?? 0); i++) {
			const source = sources[i] ?? 0;
			if (reached[source]) continue;
			reached[source] = 1;
			stack.push(source);
		}
	}
	const lost = reached.indexOf(0);
	return lost === -1 ? null : lost;
}

function pathTo(parents: Numbers, state: number): number[] {
	const path: number[] = [];
	for (let at = state; at !== 0; at = parents.at(at)) path.unshift(at);
	return path;
}

/** Plays the way again, because only numbers were kept of it. */
function retrace(start: World, ids: Map<string, number>, path: readonly number[], broken: Break | null): string[] {
	let world = start;
	return path.map((state) => {
		const step: Action | undefined = actions(world, broken).find((action) => ids.get(keyOf(action.world)) === state);
		if (!step) throw new Error("the way to a violation could not be played again");
		world = step.world;
		return step.text;
	});
}

/** A growing list of 32-bit integers. */
class Numbers {
	#items = new Int32Array(1 << 16);
	length = 0;

	push(value: number): void {
		if (this.length === this.#items.length) {
			const larger = new Int32Array(this.length * 2);
			larger.set(this.#items);
			this.#items = larger;
		}
		this.#items[this.length++] = value;
	}

	at(index: number): number {
		return this.#items[index] ?? 0;
	}
}
