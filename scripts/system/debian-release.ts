import { readFileSync } from "node:fs";

/** What this system calls itself: the fields of os-release that decide where packages come from. */
export type SystemRelease = {
	/** "debian", "ubuntu", "fedora"; "unknown" where os-release says nothing. */
	id: string;
	/** Families this system says it belongs to, e.g. ["debian"] on derivatives. */
	like: string[];
	/** "bookworm", "trixie"; empty where there is none. */
	codename: string;
	/** For people: "Debian GNU/Linux 12 (bookworm)". */
	prettyName: string;
};

/** Reads the text of an os-release file; fields that are missing become empty or "unknown". */
export function parseOsRelease(text: string): SystemRelease {
	const fields = new Map<string, string>();
	for (const line of text.split("\n")) {
		const match = /^([A-Z_]+)=(.*)$/.exec(line.trim());
		if (match) fields.set(match[1] ?? "", (match[2] ?? "").replace(/^(["'])(.*)\1$/, "$2"));
	}
	const id = fields.get("ID") ?? "unknown";
	return {
		id,
		like: (fields.get("ID_LIKE") ?? "").split(/\s+/).filter(Boolean),
		codename: fields.get("VERSION_CODENAME") ?? "",
		prettyName: fields.get("PRETTY_NAME") ?? id,
	};
}

/** The running system's release; "unknown" where it has no os-release file. */
export function readSystemRelease(): SystemRelease {
	for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
		try {
			return parseOsRelease(readFileSync(path, "utf8"));
		} catch (error) {
			if (!isMissingFile(error)) throw error;
		}
	}
	return parseOsRelease("");
}

/** True where apt manages the packages: Debian itself and what is derived from it. */
export function usesApt(release: SystemRelease): boolean {
	return release.id === "debian" || release.like.includes("debian");
}

function isMissingFile(error: unknown): boolean {
	return error instanceof Error && "code" in error && error.code === "ENOENT";
}
