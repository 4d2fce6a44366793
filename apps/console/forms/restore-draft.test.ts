import { expect, test } from "vitest";
import { confirmRefusal, freshRestore, restoreOf } from "./restore-draft.ts";

const point = {
	id: crypto.randomUUID(),
	guest: { id: crypto.randomUUID(), name: "orders-db" },
	volumes: [{ volumeId: crypto.randomUUID() }],
};
const fresh = freshRestore(point);

test("a fresh form makes a new guest that runs at once, without networks", () => {
	expect(restoreOf(fresh, point).request).toEqual({
		pointId: point.id,
		mode: "instant",
		target: { kind: "new", name: "orders-db-restored", connectNetworks: false },
		start: true,
	});
});

test("a copy to a chosen host may stay off", () => {
	const hostId = crypto.randomUUID();
	expect(restoreOf({ ...fresh, way: "new", hostId, start: false }, point).request).toMatchObject({
		mode: "copy",
		target: { kind: "new", hostId },
		start: false,
	});
});

test("one disk goes into a guest and starts nothing", () => {
	expect(restoreOf({ ...fresh, way: "disk" }, point).request).toMatchObject({
		target: { kind: "disk", volumeId: point.volumes[0]?.volumeId, intoGuestId: point.guest.id },
		start: false,
	});
});

test("over the old guest needs its name typed, letter by letter", () => {
	const over = { ...fresh, way: "over" } as const;
	expect(confirmRefusal(over, "orders-db")).toContain("orders-db");
	expect(confirmRefusal({ ...over, typed: "orders-d" }, "orders-db")).not.toBeNull();
	expect(confirmRefusal({ ...over, typed: "orders-db" }, "orders-db")).toBeNull();
	expect(confirmRefusal(fresh, "orders-db")).toBeNull();
});

test("a name that is none is said before the server is asked", () => {
	expect(restoreOf({ ...fresh, name: "Orders DB" }, point).missing).toContain("lower-case");
});

test("the longest name still leaves room for what is added to it", () => {
	const long = { ...point, guest: { id: point.guest.id, name: "a".repeat(63) } };
	expect(restoreOf(freshRestore(long), long).missing).toBeNull();
});
