import type { MigrationPhase } from "@sterna/shared/migration";

/**
 * The calls of a move to the world outside, by phase, in order: where a test may make something fail, before the call has
 * its effect or after. The tests of this package try them all in memory; the agent's do so with real processes.
 */
export const faultPoints = [
	{ phase: "prepareTarget", call: "target.prepare" },
	{ phase: "copyDisks", call: "source.openStreams" },
	{ phase: "copyDisks", call: "source.copyDisks" },
	{ phase: "copyMemory", call: "source.copyMemory" },
	{ phase: "switchOver", call: "source.switchOver" },
	{ phase: "switchOver", call: "target.renew" },
	{ phase: "handOver", call: "source.processState" },
	{ phase: "handOver", call: "records.update" },
	{ phase: "handOver", call: "target.run" },
	{ phase: "retireSource", call: "source.closeStreams" },
	{ phase: "retireSource", call: "source.retire" },
] as const satisfies readonly { phase: MigrationPhase; call: string }[];
