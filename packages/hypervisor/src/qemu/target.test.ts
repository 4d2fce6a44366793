import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { event, type Step } from "../qmp/transcript.ts";
import { scriptedGuest } from "../testing/scripted-guest.ts";
import { release } from "./target.ts";

const held = { running: false, status: "paused" };
const loaded: Step[] = [
	{ hear: "query-migrate", answer: { status: "completed" } },
	{ hear: "query-status", answer: held },
];

test("a release that could not be written down is written by the next one", async () => {
	const guest = await scriptedGuest(
		{ incoming: true },
		{ hear: "query-status", answer: held },
		...loaded,
		{ hear: "nbd-server-stop", answer: {} },
		{ hear: "cont", answer: {} },
		event("RESUME"),
		{ hear: "query-status", answer: { running: true, status: "running" } },
	);
	await mkdir(`${guest.paths.record}.new`);
	await expect(release(guest)).rejects.toThrow("EISDIR");
	await rm(`${guest.paths.record}.new`, { recursive: true });
	await writeFile(guest.paths.record, "");
	await release(guest);
	expect(JSON.parse(await readFile(guest.paths.record, "utf8"))).toMatchObject({ incoming: false });
});
