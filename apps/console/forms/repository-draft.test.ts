import { expect, test } from "vitest";
import { firstMissing, freshRepository, type RepositoryDraft, wishOf } from "./repository-draft.ts";

const folder: RepositoryDraft = { ...freshRepository, name: "main", folder: "backups" };
const bucket: RepositoryDraft = {
	...freshRepository,
	name: "away",
	kind: "s3",
	endpoint: "https://s3.example.net",
	bucket: "sterna",
	accessKeyId: "id",
	secretAccessKey: "secret",
};

test("a folder needs a name and the folder", () => {
	expect(wishOf(folder).wish).toEqual({ name: "main", place: { kind: "directory", name: "backups" }, key: null });
	expect(Object.keys(wishOf(freshRepository).errors).sort()).toEqual(["folder", "name"]);
});

test("a bucket comes with its place, its credentials and for how long nothing may be deleted", () => {
	expect(wishOf({ ...bucket, lockDays: "30" }).wish?.place).toMatchObject({ bucket: "sterna", lockDays: 30 });
});

test.each<[string, Partial<RepositoryDraft>, keyof RepositoryDraft]>([
	["an address without https://", { endpoint: "s3.example.net" }, "endpoint"],
	["a bucket in capitals", { bucket: "Sterna" }, "bucket"],
	["a prefix without its slash", { prefix: "backups" }, "prefix"],
	["no days at all", { lockDays: "" }, "lockDays"],
])("%s is named at its field", (_, patch, field) => {
	expect(wishOf({ ...bucket, ...patch }).errors[field]).toBeTypeOf("string");
});

test("one that is there is opened with its key, typed from paper with spaces and capitals", () => {
	const groups = "abcd2345 ".repeat(7);
	const key = `STERNA-KEY-1-${groups}ab`;
	expect(wishOf({ ...folder, way: "attach", key }).wish?.key).toBe(`sterna-key-1-${"abcd2345".repeat(7)}ab`);
	expect(wishOf({ ...folder, way: "attach", key: "sterna-key-1-abc" }).errors.key).toContain("58");
});

test("the button that waits names the first field that is missing, as the form calls it", () => {
	const bucket = { ...freshRepository, name: "offsite", kind: "s3" as const, endpoint: "https://s3.example.net" };
	expect(firstMissing(wishOf(bucket).errors)).toBe("Bucket: 3 to 63 lower-case letters, digits, dots and hyphens");
	expect(firstMissing(wishOf({ ...freshRepository, name: "main", folder: "backups" }).errors)).toBeNull();
});
