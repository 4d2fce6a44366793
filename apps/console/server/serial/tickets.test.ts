import { GuestId, newId } from "@sterna/shared/ids";
import { describe, expect, test } from "vitest";
import { Tickets } from "./tickets.ts";

const guestId = newId(GuestId);
const ann = { userId: "ann", sessionId: "s1" };

function tickets() {
	const clock = { now: 0 };
	return { clock, tickets: new Tickets(() => clock.now) };
}

describe("a serial ticket", () => {
	test("opens its guest for its holder, once", () => {
		const { tickets: desk } = tickets();
		const { ticket } = desk.issue({ ...ann, guestId });
		expect(Buffer.from(ticket, "base64url")).toHaveLength(32);
		expect(desk.redeem(ticket, ann)).toBe(guestId);
		expect(() => desk.redeem(ticket, ann)).toThrow("does not open anything");
	});

	test("is over after 30 s", () => {
		const { clock, tickets: desk } = tickets();
		const { ticket } = desk.issue({ ...ann, guestId });
		clock.now = 30_000;
		expect(() => desk.redeem(ticket, ann)).toThrow("does not open anything");
	});

	test.each([
		["another user", { userId: "bob", sessionId: "s1" }],
		["another session of the same user", { userId: "ann", sessionId: "s2" }],
	])("does not open for %s, and is used up by the attempt", (_, who) => {
		const { tickets: desk } = tickets();
		const { ticket } = desk.issue({ ...ann, guestId });
		expect(() => desk.redeem(ticket, who)).toThrow("does not open anything");
		expect(() => desk.redeem(ticket, ann)).toThrow("does not open anything");
	});

	test("cannot be made up", () => {
		expect(() => tickets().tickets.redeem("", ann)).toThrow("does not open anything");
	});
});
