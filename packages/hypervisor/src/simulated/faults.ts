import { SternaError } from "@sterna/shared/errors";

/** The verbs that can be made to fail. */
export type FaultPoint =
	| "start"
	| "powerOff"
	| "createVolume"
	| "accept"
	| "isLoaded"
	| "release"
	| "copyDisks"
	| "copyMemory"
	| "switchOver"
	| "cancelMigration"
	| "growVolume"
	| "attachVolume"
	| "moveVolume"
	| "takeSnapshot"
	| "endSnapshot"
	| "startFrom"
	/** A start that has found its volumes and sources in order: no process comes of it. */
	| "launch"
	| "fillVolumes";

export interface Fault {
	/** `before`: nothing has happened. `after`: all has happened, and only the answer is lost. */
	when: "before" | "after";
	error?: SternaError;
}

/** Faults waiting to happen: each strikes once, in the order in which they were set. */
export class Faults {
	readonly #waiting: { point: FaultPoint; fault: Fault }[] = [];

	failAt(point: FaultPoint, fault: Fault = { when: "before" }): void {
		this.#waiting.push({ point, fault });
	}

	/** Runs a verb with whatever fault waits for it. */
	async around<Result>(point: FaultPoint, verb: () => Promise<Result>): Promise<Result> {
		const index = this.#waiting.findIndex((waiting) => waiting.point === point);
		const fault = index === -1 ? null : (this.#waiting.splice(index, 1)[0]?.fault ?? null);
		const error = fault?.error ?? new SternaError("unavailable", `${point} failed because a test asked for it`);
		if (fault?.when === "before") throw error;
		const result = await verb();
		if (fault?.when === "after") throw error;
		return result;
	}
}
