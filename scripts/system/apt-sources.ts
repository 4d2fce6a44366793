/** One place packages come from, whichever of apt's two formats it was written in. */
export type AptSource = {
	uris: string[];
	suites: string[];
	components: string[];
	/** A keyring's path, or an embedded key with its line breaks as apt wants them. */
	signedBy?: string;
	trusted?: string;
};

/** Reads a deb822 `.sources` file: binary package sources that are not disabled. */
export function parseDeb822Sources(text: string): AptSource[] {
	return text
		.split(/\n[ \t]*\n/)
		.map(parseStanza)
		.filter(
			(fields) =>
				words(fields.get("types")).includes("deb") && !/^(no|false|0|off)$/i.test(fields.get("enabled") ?? "yes"),
		)
		.map((fields) => ({
			uris: words(fields.get("uris")),
			suites: words(fields.get("suites")),
			components: words(fields.get("components")),
			...optional("signedBy", fields.get("signed-by")),
			...optional("trusted", fields.get("trusted")),
		}));
}

/** Reads a one-line-per-source `.list` file: its `deb` lines. */
export function parseOneLineSources(text: string): AptSource[] {
	const sources: AptSource[] = [];
	for (const raw of text.split("\n")) {
		const match = /^deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)(.*)$/.exec(raw.replace(/#.*$/, "").trim());
		if (!match) continue;
		const [, options = "", uri = "", suite = "", components = ""] = match;
		const settings = new Map(words(options).map((word) => splitOnce(word, "=")));
		sources.push({
			uris: [uri],
			suites: [suite],
			components: words(components),
			...optional("signedBy", settings.get("signed-by")),
			...optional("trusted", settings.get("trusted")),
		});
	}
	return sources;
}

/**
 * The distribution's own sources for `codename` (release, updates, security), and with `withBackports` its backports
 * from the same mirror. Other vendors' sources are left out: they may be unreachable and have nothing we need.
 */
export function selectDistributionSources(sources: AptSource[], codename: string, withBackports: boolean): AptSource[] {
	const releaseNames = [codename, "stable", "oldstable", "oldoldstable"];
	const own = releaseNames.flatMap((name) => [name, `${name}-updates`, `${name}-security`]);
	const kept = sources
		.filter((source) => source.components.includes("main") && source.uris.some((uri) => !uri.startsWith("cdrom:")))
		.map((source) => ({
			...source,
			components: ["main"],
			suites: source.suites.filter((suite) => own.includes(suite)),
		}))
		.filter((source) => source.suites.length > 0);
	const release = kept.find((source) => source.suites.some((suite) => releaseNames.includes(suite)));
	if (!withBackports || !release) return kept;
	return [...kept, { ...release, suites: [`${codename}-backports`] }];
}

/** Writes sources in the deb822 format, for a `.sources` file. */
export function renderDeb822Sources(sources: AptSource[]): string {
	return sources
		.map((source) =>
			[
				"Types: deb",
				`URIs: ${source.uris.join(" ")}`,
				`Suites: ${source.suites.join(" ")}`,
				`Components: ${source.components.join(" ")}`,
				...(source.signedBy === undefined ? [] : [`Signed-By: ${source.signedBy}`]),
				...(source.trusted === undefined ? [] : [`Trusted: ${source.trusted}`]),
				"",
			].join("\n"),
		)
		.join("\n");
}

/** Fields of one stanza by lower-case name; continuation lines stay part of the value, comments go. */
function parseStanza(stanza: string): Map<string, string> {
	const fields = new Map<string, string>();
	let name = "";
	for (const line of stanza.split("\n")) {
		if (line.startsWith("#")) continue;
		if (/^[ \t]/.test(line)) {
			if (name !== "") fields.set(name, `${fields.get(name) ?? ""}\n${line}`);
			continue;
		}
		const [key, value] = splitOnce(line, ":");
		name = key.trim().toLowerCase();
		if (name !== "") fields.set(name, value.trim());
	}
	return fields;
}

function words(text: string | undefined): string[] {
	return (text ?? "").split(/\s+/).filter(Boolean);
}

function splitOnce(text: string, separator: string): [string, string] {
	const at = text.indexOf(separator);
	return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + separator.length)];
}

function optional<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
	return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
}
