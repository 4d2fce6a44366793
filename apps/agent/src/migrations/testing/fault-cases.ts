import type { Point } from "../observe.ts";

/**
 * Every way in which one move is disturbed, and where its guest must be afterwards. `at` is where the move stands still
 * when it happens; a point of the other side than the one killed means that the other side waits there meanwhile.
 */
export interface FaultCase {
	name: string;
	at: Point;
	fault: "killSource" | "killTarget" | "cut";
	/** Whose guest it is afterwards: once the hand-over is recorded it is the target's. */
	staysOn: "source" | "target";
	/** What the journal of the source must say. */
	journal: RegExp;
}

const undone = /the agent of the source was started again; undoing: /;
const forward = /the agent of the source was started again; .*completed$/;
const heard = /the guest runs on the target/;

export const faultCases: readonly FaultCase[] = [
	...(
		["source:prepareTarget", "source:copyDisks", "source:copyMemory", "source:switchOver", "source:handOver"] as const
	).map(
		(at): FaultCase => ({
			name: `the source's agent is killed at ${at}`,
			at,
			fault: "killSource",
			staysOn: "source",
			journal: undone,
		}),
	),
	...(["source:committed", "source:retireSource"] as const).map(
		(at): FaultCase => ({
			name: `the source's agent is killed at ${at}`,
			at,
			fault: "killSource",
			staysOn: "target",
			journal: forward,
		}),
	),
	...(["target:prepare", "target:prepared", "source:copyDisks", "source:copyMemory", "source:switchOver"] as const).map(
		(at): FaultCase => ({
			name: `the target's agent is killed at ${at}`,
			at,
			fault: "killTarget",
			staysOn: "source",
			journal: /undoing: /,
		}),
	),
	...(["source:handOver", "source:committed", "target:owned", "target:resumed"] as const).map(
		(at): FaultCase => ({
			name: `the target's agent is killed at ${at}`,
			at,
			fault: "killTarget",
			staysOn: "target",
			journal: heard,
		}),
	),
	{
		name: "the target's agent is killed when everything is done but the clearing up",
		at: "source:retireSource",
		fault: "killTarget",
		staysOn: "target",
		journal: heard,
	},
	...(["source:copyMemory", "source:switchOver"] as const).map(
		(at): FaultCase => ({
			name: `the hosts are cut apart at ${at}`,
			at,
			fault: "cut",
			staysOn: "source",
			journal: /undoing: /,
		}),
	),
	...(["source:committed", "target:resumed"] as const).map(
		(at): FaultCase => ({
			name: `the hosts are cut apart at ${at}`,
			at,
			fault: "cut",
			staysOn: "target",
			journal: heard,
		}),
	),
];
