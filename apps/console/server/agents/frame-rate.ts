/** How much one agent may send. */
export interface FrameLimits {
	/** Over any window: frames and UTF-16 code units. */
	windowMs: number;
	frames: number;
	length: number;
}

/** 200 frames a second sustained; a host with 2000 guests sends about ten. */
export const agentFrameLimits: FrameLimits = { windowMs: 5000, frames: 1000, length: 32 * 1024 * 1024 };

/** Counts what arrives on one connection in fixed windows. */
export class FrameRate {
	readonly #limits: FrameLimits;
	#windowStart = Number.NEGATIVE_INFINITY;
	#frames = 0;
	#length = 0;

	constructor(limits: FrameLimits) {
		this.#limits = limits;
	}

	/** Why the connection must end after this frame, as a sentence; null while it keeps within its limits. */
	take(length: number, now: number): string | null {
		const { windowMs, frames, length: maxLength } = this.#limits;
		if (now - this.#windowStart >= windowMs || now < this.#windowStart) {
			this.#windowStart = now;
			this.#frames = 0;
			this.#length = 0;
		}
		this.#frames++;
		this.#length += length;
		if (this.#frames > frames) return `more than ${frames} frames within ${windowMs} ms`;
		if (this.#length > maxLength) return `more than ${maxLength} characters within ${windowMs} ms`;
		return null;
	}
}
