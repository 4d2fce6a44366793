import { GuestId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { outcomeOf } from "./present-jobs.ts";
import type { RunEntry } from "./runs.ts";

const [web, db] = [newId(GuestId), newId(GuestId)];
const attempt = (guestId: GuestId, state: RunEntry["state"], number = 1) => ({
	...{ guestId, guestName: guestId === web ? "web" : "db", attempt: number, state },
	error: state === "failed" ? { code: "unavailable" as const, message: "the repository is full" } : null,
});

test.each<[string, ReturnType<typeof attempt>[], string, string]>([
	["all", [attempt(web, "completed"), attempt(db, "completed")], "completed", "all 2 guests were saved"],
	["one after a retry", [attempt(web, "failed"), attempt(web, "completed", 2)], "completed", "the guest was saved"],
	[
		"a part",
		[attempt(web, "completed"), attempt(db, "failed")],
		"partly",
		"1 of 2 were not saved; db: the repository is full",
	],
	[
		"none",
		[attempt(web, "failed", 2), attempt(web, "failed")],
		"failed",
		"the guest was not saved; web: the repository is full",
	],
	["none in time", [attempt(web, "missed"), attempt(db, "missed")], "missed", "it could not begin in time"],
	["nobody yet", [attempt(web, "running"), attempt(db, "scheduled")], "running", "0 of 2 done"],
])("a job that saved %s says so", (_, attempts, state, sentence) => {
	expect(outcomeOf(attempts)).toEqual({ state, sentence });
});
