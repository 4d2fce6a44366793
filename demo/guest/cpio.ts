/** One entry of an archive; `path` without a leading slash. */
export type CpioEntry =
	| { kind: "folder"; path: string }
	| { kind: "file"; path: string; data: Uint8Array; isExecutable: boolean }
	| { kind: "link"; path: string; target: string }
	| { kind: "characterDevice"; path: string; major: number; minor: number };

/**
 * Packs entries into the "newc" archive that the kernel unpacks as its first root file system. Everything belongs to
 * root and has no date: the same entries give the same bytes. Folders must come before what is in them.
 */
export function packCpio(entries: CpioEntry[]): Buffer {
	const parts = entries.flatMap((entry, index) => {
		const data = dataOf(entry);
		const device = entry.kind === "characterDevice" ? entry : { major: 0, minor: 0 };
		return [
			header({ inode: index + 1, mode: modeOf(entry), sizeBytes: data.length, device, path: entry.path }),
			padded(data),
		];
	});
	const end = header({ inode: 0, mode: 0, sizeBytes: 0, device: { major: 0, minor: 0 }, path: "TRAILER!!!" });
	return Buffer.concat([...parts, end]);
}

type Header = {
	inode: number;
	mode: number;
	sizeBytes: number;
	device: { major: number; minor: number };
	path: string;
};

/** The kernel's Documentation/driver-api/early-userspace/buffer-format.rst: a magic and 13 fields of 8 hex digits. */
function header({ inode, mode, sizeBytes, device, path }: Header): Buffer {
	const name = Buffer.from(`${path}\0`);
	const links = 1;
	const fields = [inode, mode, 0, 0, links, 0, sizeBytes, 0, 0, device.major, device.minor, name.length, 0];
	const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
	return padded(Buffer.concat([Buffer.from(text), name]));
}

function modeOf(entry: CpioEntry): number {
	switch (entry.kind) {
		case "folder":
			return 0o040755;
		case "file":
			return entry.isExecutable ? 0o100755 : 0o100644;
		case "link":
			return 0o120777;
		case "characterDevice":
			return 0o020600;
	}
}

function dataOf(entry: CpioEntry): Buffer {
	switch (entry.kind) {
		case "file":
			return Buffer.from(entry.data);
		case "link":
			return Buffer.from(entry.target);
		case "folder":
		case "characterDevice":
			return Buffer.alloc(0);
	}
}

/** Headers and data both end on a multiple of four bytes. */
function padded(data: Buffer): Buffer {
	return Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
}
