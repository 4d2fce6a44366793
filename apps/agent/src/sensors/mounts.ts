/** One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), as far as it is used. */
export interface Mount {
	/** `8:1` */
	device: string;
	mountPoint: string;
	type: string;
	source: string;
	readOnly: boolean;
}

/** Lines that make no sense are left out. Never throws. */
export function parseMountinfo(text: string): Mount[] {
	const mounts: Mount[] = [];
	for (const line of text.split("\n")) {
		const fields = line.split(" ");
		const separator = fields.indexOf("-", 6);
		const [, , device, , mountPoint, options] = fields;
		const [type, source, superOptions] = separator < 0 ? [] : fields.slice(separator + 1);
		if (!device || !mountPoint?.startsWith("/") || !options || !type || source === undefined) continue;
		if (!/^\d{1,7}:\d{1,7}$/.test(device)) continue;
		const readOnly = options.split(",").includes("ro") || (superOptions ?? "").split(",").includes("ro");
		mounts.push({ device, mountPoint: unquote(mountPoint), type, source: unquote(source), readOnly });
	}
	return mounts;
}

/** The mount that holds an absolute path: the longest mount point above it, the latest where several lie on each other. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | null {
	let best: Mount | null = null;
	for (const mount of mounts) {
		const folder = mount.mountPoint === "/" ? "/" : `${mount.mountPoint}/`;
		if (!`${path}/`.startsWith(folder)) continue;
		if (!best || mount.mountPoint.length >= best.mountPoint.length) best = mount;
	}
	return best;
}

/** Space, tab, newline and backslash stand there as `\040` and so on. */
function unquote(text: string): string {
	return text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
