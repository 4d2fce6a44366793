import type { Measured } from "./measure.ts";

/** One step of one tool. `storedBytes` is what its store grew by; null for a restore. */
export interface Step extends Measured {
	storedBytes: number | null;
}

/** What every tool is given: the same disk, and the same disk with 5 % changed. */
export interface Disks {
	/** Sparse raw files. */
	base: string;
	changed: string;
	/** The tool's own folder, empty at the beginning of a round. */
	folder: string;
}

/** One of the tools that are compared. */
export interface Contestant {
	name: "sterna" | "restic" | "borg" | "virtnbdbackup";
	/** Version, compression, encryption, and what it reads from. */
	about: string;
	/** One round in a new store: everything, then the changes, then back onto a disk. */
	round(disks: Disks): Promise<{ full: Step; incremental: Step; restore: Step }>;
	close(): Promise<void>;
}
