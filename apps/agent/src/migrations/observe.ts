/**
 * The places of a move at which a fault test wants to be asked: each lies directly before the step that it names, or
 * behind the one that it says is done. Without an observer nothing is asked.
 */
export type Point =
	| "source:prepareTarget"
	| "source:copyDisks"
	| "source:copyMemory"
	| "source:switchOver"
	/** The target has said that it has everything; the ownership record is about to be written. */
	| "source:handOver"
	/** The record is written, the target has not been told. */
	| "source:committed"
	| "source:retireSource"
	/** The record says incoming; QEMU has not been started. */
	| "target:prepare"
	/** QEMU waits with its CPUs held; the source has not been answered. */
	| "target:prepared"
	/** The record says owner; the CPUs are still held. */
	| "target:owned"
	/** The CPUs run; the source has not been answered. */
	| "target:resumed"
	| "target:discard";

export type Observe = (point: Point) => Promise<void>;
