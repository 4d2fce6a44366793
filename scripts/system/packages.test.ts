import { describe, expect, it } from "vitest";
import { parseOsRelease, usesApt } from "./debian-release.ts";
import { planMissingPackages } from "./packages.ts";

const debian = parseOsRelease('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n');
const fedora = parseOsRelease("NAME=Fedora\nID=fedora\nPRETTY_NAME='Fedora Linux 43'\n");

const here = { package: "here", why: "is there", present: () => true };
const alpha = { package: "alpha", why: "does a", present: () => false };
const beta = { package: "beta", why: "does b", present: () => false };

describe("planMissingPackages", () => {
	it("has nothing to do when everything is present, whatever the system and the user", () => {
		expect(planMissingPackages([here], { isRoot: false, release: fedora })).toEqual({ kind: "nothing" });
	});

	it("installs what is missing as root, each package once", () => {
		const plan = planMissingPackages([alpha, here, beta, { ...alpha, why: "does a again" }], {
			isRoot: true,
			release: debian,
		});
		expect(plan).toEqual({ kind: "install", needs: [alpha, beta] });
	});

	it("gives one command to run when it is not root", () => {
		const plan = planMissingPackages([alpha, here, beta], { isRoot: false, release: debian });
		expect(plan).toMatchObject({
			kind: "refuse",
			missing: ["alpha", "beta"],
			command: "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends alpha beta'",
		});
	});

	it("names what is missing and why on a system without apt, and gives no command", () => {
		const plan = planMissingPackages([alpha], { isRoot: true, release: fedora });
		expect(plan).toMatchObject({
			kind: "refuse",
			missing: ["alpha"],
			message: expect.stringMatching(/Fedora Linux 43[\s\S]*alpha: does a/),
		});
		expect(plan).not.toHaveProperty("command");
	});
});

describe("parseOsRelease", () => {
	it("takes the quotes off and finds the codename", () => {
		expect(debian).toEqual({
			id: "debian",
			like: [],
			codename: "bookworm",
			prettyName: "Debian GNU/Linux 12 (bookworm)",
		});
	});

	it("counts derivatives as systems with apt and others not", () => {
		expect(usesApt(parseOsRelease('ID=linuxmint\nID_LIKE="ubuntu debian"\n'))).toBe(true);
		expect(usesApt(fedora)).toBe(false);
		expect(usesApt(parseOsRelease(""))).toBe(false);
	});
});
