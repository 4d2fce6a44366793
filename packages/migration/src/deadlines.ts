/** Deadlines of the steps, in milliseconds. */
export const deadlines = {
	prepareTargetMs: 60_000,
	openStreamsMs: 15_000,
	/** Without a byte arriving; the copying itself may take hours. */
	diskStallMs: 20_000,
	memoryStallMs: 10_000,
	/** From the pause until the target has everything: what of it one step leaves, the next may take. */
	switchOverMs: 5_000,
	/** Between two questions whether the target has everything. */
	pollMs: 5,
	undoStepMs: 10_000,
	/** Within an undo: the guest is paused meanwhile. */
	closeStreamsMs: 1_000,
	/** Between two tries of what is tried until it works, and before the second of what may wait. */
	retryMs: 1_000,
	/** The longest time between two tries of what may wait. */
	rareRetryMs: 300_000,
	/** How often the source says that it is alive, and how long an incomplete target waits for that. */
	renewMs: 15_000,
	leaseMs: 60_000,
} as const;
