import { GuestId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { restoreTitle } from "./restore-title.ts";

const guest = { id: GuestId.parse("0b6f5a5e-3f0a-4a6b-9a37-0d7b7f0f4d11"), name: "orders-db" };
const target = { id: GuestId.parse("0b6f5a5e-3f0a-4a6b-9a37-0d7b7f0f4d12"), name: "web-1" };
const done = { state: "completed", phase: null, guest, target, report: null } as const;

test("a disk that was put into another guest is not called a restored guest", () => {
	expect(restoreTitle({ ...done, mode: "copy", targetKind: "disk" })).toBe(
		"web-1 has the disk of orders-db as it was then.",
	);
	expect(restoreTitle({ ...done, mode: "copy", targetKind: "new" })).toBe("web-1 is restored.");
});

test("a drill says that the backup works, not that something was restored", () => {
	expect(restoreTitle({ ...done, mode: "drill", targetKind: "drill" })).toBe(
		"orders-db can be restored: its backup works.",
	);
});

test("a restore that a person gave up says what is left of it", () => {
	const failed = { ...done, state: "failed", mode: "instant", targetKind: "new" } as const;
	expect(restoreTitle({ ...failed, report: { givenUp: true } })).toBe(
		"The instant restore of orders-db was given up; web-1 is left with half-filled disks.",
	);
	expect(restoreTitle({ ...failed, report: { givenUp: false } })).toBe("The instant restore of orders-db failed.");
});
