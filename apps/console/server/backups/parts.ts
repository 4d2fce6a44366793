import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import type { Vault } from "./vault.ts";

/** What every part of the backups' side works with. */
export interface BackupParts {
	readonly core: Core;
	readonly hub: AgentHub;
	readonly vault: Vault;
	readonly clock: ScheduleClock;
}

/**
 * The clock by which schedules, windows and ages are judged. In the demo it can be set off against the real one, so that
 * nobody has to wait for the night; nothing else (sessions, permits, certificates, the event log) follows it.
 */
export class ScheduleClock {
	readonly #real: () => number;
	#offsetMs = 0;

	constructor(real: () => number) {
		this.#real = real;
	}

	now(): number {
		return this.#real() + this.#offsetMs;
	}

	get offsetMs(): number {
		return this.#offsetMs;
	}

	setOffset(ms: number): void {
		this.#offsetMs = ms;
	}
}
