import { describe, expect, it } from "vitest";
import {
	parseDeb822Sources,
	parseOneLineSources,
	renderDeb822Sources,
	selectDistributionSources,
} from "./apt-sources.ts";

const deb822 = `# The distribution
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
# half-way comment
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
Enabled: no
URIs: http://vendor.example/apt
Suites: stable
Components: main
`;

describe("parseDeb822Sources", () => {
	it("reads every enabled stanza and passes over comments", () => {
		expect(parseDeb822Sources(deb822)).toEqual([
			{
				uris: ["http://mirror.example/debian"],
				suites: ["bookworm", "bookworm-updates"],
				components: ["main", "contrib"],
				signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
			},
			{
				uris: ["http://mirror.example/debian-security"],
				suites: ["bookworm-security"],
				components: ["main"],
				signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
			},
		]);
	});

	it("leaves out stanzas that only have source packages", () => {
		expect(
			parseDeb822Sources("Types: deb-src\nURIs: http://mirror.example/\nSuites: trixie\nComponents: main\n"),
		).toEqual([]);
	});

	it("keeps an embedded key line by line, so that it can be written back", () => {
		const text =
			"Types: deb\nURIs: http://m.example/\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN KEY-----\n .\n abc=\n";
		const sources = parseDeb822Sources(text);
		expect(sources[0]?.signedBy).toBe("\n -----BEGIN KEY-----\n .\n abc=");
		expect(parseDeb822Sources(renderDeb822Sources(sources))).toEqual(sources);
	});
});

describe("parseOneLineSources", () => {
	it("reads deb lines with and without options and passes over the rest", () => {
		const text = `# a comment
deb http://mirror.example/debian bookworm main contrib # trailing
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/keys/a.gpg trusted=yes] https://other.example/debian/ bookworm-updates main
`;
		expect(parseOneLineSources(text)).toEqual([
			{ uris: ["http://mirror.example/debian"], suites: ["bookworm"], components: ["main", "contrib"] },
			{
				uris: ["https://other.example/debian/"],
				suites: ["bookworm-updates"],
				components: ["main"],
				signedBy: "/etc/keys/a.gpg",
				trusted: "yes",
			},
		]);
	});
});

describe("selectDistributionSources", () => {
	const vendor = { uris: ["http://vendor.example/apt"], suites: ["nodistro"], components: ["main"] };
	const cdrom = { uris: ["cdrom:[Debian]/"], suites: ["bookworm"], components: ["main"] };

	it("adds backports from the mirror and with the key of the release itself", () => {
		const selected = selectDistributionSources([vendor, cdrom, ...parseDeb822Sources(deb822)], "bookworm", true);
		expect(selected.map((source) => `${source.uris} ${source.suites} ${source.components}`)).toEqual([
			"http://mirror.example/debian bookworm,bookworm-updates main",
			"http://mirror.example/debian-security bookworm-security main",
			"http://mirror.example/debian bookworm-backports main",
		]);
		expect(selected[2]?.signedBy).toBe("/usr/share/keyrings/debian-archive-keyring.gpg");
	});

	it("understands sources that follow a release by its role instead of its name", () => {
		const source = { uris: ["http://mirror.example/debian"], suites: ["oldstable"], components: ["main"] };
		expect(selectDistributionSources([source], "bookworm", true)).toEqual([
			source,
			{ ...source, suites: ["bookworm-backports"] },
		]);
	});

	it("selects nothing where only other vendors' sources are configured", () => {
		expect(selectDistributionSources([vendor, cdrom], "bookworm", true)).toEqual([]);
	});
});
