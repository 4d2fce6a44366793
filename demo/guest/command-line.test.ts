import { expect, it } from "vitest";
import { guestCommandLine } from "./command-line.ts";

it("guestCommandLine gives the guest what is set and nothing else", () => {
	expect(guestCommandLine({ name: "db-1" })).toBe("console=tty0 console=ttyS0,115200 quiet panic=1 sterna.name=db-1");
	const all = {
		name: "db-1",
		ip: "198.18.77.9/24",
		gateway: "198.18.77.1",
		beat: "198.18.77.1:7070",
		beatMs: 20,
		load: "writer",
	} as const;
	expect(guestCommandLine(all)).toMatch(
		/ sterna\.name=db-1 sterna\.ip=198\.18\.77\.9\/24 sterna\.gw=198\.18\.77\.1 sterna\.beat=198\.18\.77\.1:7070 sterna\.beatms=20 sterna\.load=writer$/,
	);
});
