/** What a demo guest is told on its kernel command line; see README.md. */
export type GuestSettings = {
	name: string;
	/** With prefix length: "198.18.77.101/24". Without it the network card stays unconfigured. */
	ip?: string;
	gateway?: string;
	/** Where heartbeats go, "198.18.77.1:7070"; without it they are only shown on the serial line. */
	beat?: string;
	/** 20 is the shortest that holds under TCG. */
	beatMs?: number;
	/**
	 * `tree` and `verify` put a file system on the first disk; `verify` only checks the tree that is there. `idle` leaves
	 * the disk alone.
	 */
	load?: "light" | "writer" | "tree" | "verify" | "idle";
	/** What the tree's files follow from, with the number of the generation. */
	seed?: number;
	/** About the size of a generation of the tree, and the pause between two. */
	treeKib?: number;
	treeMs?: number;
};

/** The kernel command line (QEMU's -append) of a demo guest. */
export function guestCommandLine(settings: GuestSettings): string {
	const words = [
		// A guest without a serial port of its own still boots; a panic ends in a reset and not in a frozen guest.
		"console=tty0 console=ttyS0,115200 quiet panic=1",
		`sterna.name=${settings.name}`,
		settings.ip && `sterna.ip=${settings.ip}`,
		settings.gateway && `sterna.gw=${settings.gateway}`,
		settings.beat && `sterna.beat=${settings.beat}`,
		settings.beatMs && `sterna.beatms=${settings.beatMs}`,
		settings.load && `sterna.load=${settings.load}`,
		settings.seed !== undefined && `sterna.seed=${settings.seed}`,
		settings.treeKib !== undefined && `sterna.treekib=${settings.treeKib}`,
		settings.treeMs !== undefined && `sterna.treems=${settings.treeMs}`,
	];
	return words.filter(Boolean).join(" ");
}
