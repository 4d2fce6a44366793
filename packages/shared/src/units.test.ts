import { expect, test } from "vitest";
import { refuseGuestAction } from "./guest.ts";
import { formatBytes, formatDuration, GiB, MiB } from "./units.ts";

test.each([
	[0, "0 B"],
	[1023, "1023 B"],
	[512 * MiB, "512 MiB"],
	[8 * GiB, "8.0 GiB"],
	[64 * GiB, "64 GiB"],
])("%d bytes read as %s", (bytes, text) => {
	expect(formatBytes(bytes)).toBe(text);
});

test.each([
	[38, "38 ms"],
	[4200, "4.2 s"],
	[9999, "10 s"],
	[65_000, "1 min 5 s"],
	[7_380_000, "2 h 3 min"],
	[86_400_000, "1 d"],
])("%d ms read as %s", (durationMs, text) => {
	expect(formatDuration(durationMs)).toBe(text);
});

test("what may not be done to a guest says why", () => {
	const running = { state: "running", migrating: false, hostOnline: true } as const;
	expect(refuseGuestAction("migrate", running)).toBeNull();
	expect(refuseGuestAction("start", running)).toContain("it is running");
	expect(refuseGuestAction("powerOff", { ...running, migrating: true })).toContain("being migrated");
	expect(refuseGuestAction("shutDown", { ...running, hostOnline: false })).toContain("out of reach");
});
