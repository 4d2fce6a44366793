import { expect, test } from "vitest";
import { event, type Step } from "../qmp/transcript.ts";
import { scriptedGuest } from "../testing/scripted-guest.ts";
import { switchOver } from "./source.ts";

const sent: Step[] = [{ hear: "migrate-continue", answer: {} }, event("MIGRATION", { status: "completed" })];
const saysThatItIs = (status: string): Step => ({ hear: "query-status", answer: { running: false, status } });

async function pausedSource(...script: Step[]) {
	const guest = await scriptedGuest({ incoming: false }, ...sent, ...script);
	guest.move = { copies: new Set(), downtimeLimitMs: 30 };
	return guest;
}

test("a guest that was sent completely counts as handed over although QEMU has not put it away yet", async () => {
	const guest = await pausedSource(saysThatItIs("finish-migrate"), saysThatItIs("postmigrate"));
	await switchOver(guest, new AbortController().signal);
});

test("a guest that runs after it was sent completely is not handed over", async () => {
	const guest = await pausedSource(saysThatItIs("running"));
	await expect(switchOver(guest, new AbortController().signal)).rejects.toMatchObject({
		code: "internal",
		message: expect.stringContaining("it is running"),
	});
});
