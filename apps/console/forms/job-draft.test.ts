import { newId, RepositoryId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { draftOf, freshJob, type JobDraft, specOf } from "./job-draft.ts";

const filled: JobDraft = { ...freshJob("Europe/Vienna"), name: "nightly", repositoryId: newId(RepositoryId) };

test("a fresh form needs a name and a repository, and nothing else", () => {
	expect(Object.keys(specOf(freshJob("UTC")).errors).sort()).toEqual(["name", "repositoryId"]);
	expect(specOf(filled)).toMatchObject({ errors: {}, spec: { cron: "0 2 * * *", timeZone: "Europe/Vienna" } });
});

test.each<[string, Partial<JobDraft>]>([
	["by tags with a speed limit", { by: "tags", tags: "db, web", mibPerSecond: "50" }],
	["of chosen guests", { by: "guests", guestIds: [crypto.randomUUID()] }],
	[
		"of a pool with a drill on a text",
		{ by: "pool", pool: "local", drill: true, drillCheck: "serialText", drillText: "ready" },
	],
])("a job %s comes back from its specification as it was written", (_, patch) => {
	const { spec } = specOf({ ...filled, ...patch });
	expect(spec).not.toBeNull();
	if (spec) expect(specOf(draftOf(spec)).spec).toEqual(spec);
});

test("megabytes and hours of the form are bytes and minutes of the job", () => {
	expect(specOf({ ...filled, mibPerSecond: "1.5", alertAfterHours: "0.5" }).spec).toMatchObject({
		bytesPerSecond: 1.5 * MiB,
		alertAfterMinutes: 30,
	});
});

test.each<[string, Partial<JobDraft>, string]>([
	["no guest chosen", { by: "guests" }, "selection.guestIds"],
	["a tag with a capital", { by: "tags", tags: "DB" }, "selection.tags.0"],
	["a speed limit of a crawl", { mibPerSecond: "0.1" }, "bytesPerSecond"],
	["letters as retries", { retries: "two" }, "retries"],
	["an expression of four fields", { schedule: { ...filled.schedule, every: "cron", cron: "0 2 * *" } }, "cron"],
	["a zone that is none", { timeZone: "Mars/Olympus" }, "timeZone"],
	["a drill that waits for nothing", { drill: true, drillCheck: "serialText", drillText: "" }, "drill.check.text"],
	[
		"a retention of nothing",
		{ retention: { last: "0", hourly: "0", daily: "0", weekly: "0", monthly: "0", yearly: "0" } },
		"retention",
	],
])("%s is named at its field", (_, patch, field) => {
	expect(specOf({ ...filled, ...patch }).errors[field]).toBeTypeOf("string");
});
