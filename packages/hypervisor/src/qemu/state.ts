import type { ProcessState } from "../hypervisor.ts";
import type { CommandReturns } from "../qmp/generated/schema.ts";

type RunState = CommandReturns["query-status"]["status"];

/**
 * What QEMU's run state (qapi/run-state.json) is in the contract's words. `incoming`: the process was started as a
 * migration's target and not released yet. `shutdown` is a guest that powered itself off: the driver ends the process.
 */
export function processState(status: RunState, incoming: boolean): ProcessState | "poweredOff" {
	switch (status) {
		case "running":
			return "running";
		case "inmigrate":
			return "loading";
		case "shutdown":
			return "poweredOff";
		case "postmigrate":
			return "handedOver";
		default:
			return incoming ? "loaded" : "paused";
	}
}
