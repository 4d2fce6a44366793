import { expect, test } from "vitest";
import { protectionHeadline } from "./protection-headline.ts";

const all = { guests: 4, protected: 4, late: 0, unprotected: 0, failing: 0, damaged: 0 };

test.each([
	["no guest at all", { guests: 0, protected: 0 }, "neutral", "There is no guest to protect yet."],
	["all as agreed", {}, "ok", "All 4 guests can be restored as agreed."],
	["nobody asked for backups", { protected: 0, unprotected: 4 }, "watch", "No guest is backed up."],
	["one forgotten guest", { protected: 3, unprotected: 1 }, "watch", "One guest of 4 has no backup."],
	["a late one", { protected: 3, late: 1 }, "warn", "One guest is late."],
	[
		"damage, failures and lateness, the worst first",
		{ protected: 0, late: 2, failing: 1, damaged: 1 },
		"bad",
		"One guest has damaged recovery points, the backups of one guest fail, 2 guests are late.",
	],
] as const)("with %s the page begins with that", (_, patch, tone, sentence) => {
	expect(protectionHeadline({ ...all, ...patch })).toEqual({ tone, sentence });
});
