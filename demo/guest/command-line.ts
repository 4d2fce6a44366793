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
	load?: "light" | "writer";
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
	];
	return words.filter(Boolean).join(" ");
}
