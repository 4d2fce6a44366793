import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Changes, type Notice } from "./changes.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** Collects what a page would get. */
function page(changes: Changes, topics: string[], after: string | null = null) {
	const stop = new AbortController();
	const seen: { id: string; notice: Notice }[] = [];
	const done = (async () => {
		for await (const item of changes.watch(new Set(topics), after, stop.signal)) seen.push(item);
	})();
	return {
		topics: () => seen.map(({ notice }) => (notice.type === "missed" ? "missed" : notice.topic)),
		lastId: () => seen.at(-1)?.id ?? null,
		close: () => {
			stop.abort();
			return done;
		},
	};
}
const settle = () => vi.advanceTimersByTimeAsync(0);

test("a page hears of its own topics only", async () => {
	const changes = new Changes();
	const tab = page(changes, ["hosts", "guest:1"]);
	await settle();
	changes.touch("hosts", "guests", "guest:2");
	changes.touch("guest:1");
	await settle();
	expect(tab.topics()).toEqual(["hosts", "guest:1"]);
	await tab.close();
});

test("a hundred changes in a moment are told twice: at once, and when it is quiet", async () => {
	const changes = new Changes();
	const tab = page(changes, ["hosts"]);
	await settle();
	for (let change = 0; change < 100; change++) changes.touch("hosts");
	await settle();
	expect(tab.topics()).toEqual(["hosts"]);
	await vi.advanceTimersByTimeAsync(1000);
	expect(tab.topics()).toEqual(["hosts", "hosts"]);
	await tab.close();
});

test("a page that reconnects gets what it missed, once", async () => {
	const changes = new Changes();
	const before = page(changes, ["hosts", "events"]);
	await settle();
	changes.touch("hosts");
	await settle();
	await before.close();
	changes.touch("events", "guests");
	const after = page(changes, ["hosts", "events"], before.lastId());
	await settle();
	expect(after.topics()).toEqual(["events"]);
	await after.close();
});

test.each([
	["another run of the console", () => "deadbeef.3"],
	["nonsense", () => "x"],
	["the future", (id: string) => id.replace(/\d+$/, "99999")],
])("a page that comes back from %s is told to ask everything again", async (_, make) => {
	const changes = new Changes();
	const first = page(changes, ["hosts"]);
	await settle();
	changes.touch("hosts");
	await settle();
	const tab = page(changes, ["hosts"], make(first.lastId() ?? ""));
	await settle();
	expect(tab.topics()).toEqual(["missed"]);
	await Promise.all([first.close(), tab.close()]);
});

test("a page that slept through thousands of notices is told so instead of getting them", async () => {
	const changes = new Changes();
	const first = page(changes, ["guest:0"]);
	await settle();
	changes.touch("guest:0");
	await settle();
	await first.close();
	for (let guest = 1; guest < 6000; guest++) changes.publish({ type: "changed", topic: `guest:${guest}` });
	const tab = page(changes, ["guest:0"], first.lastId());
	await settle();
	expect(tab.topics()).toEqual(["missed"]);
	await tab.close();
});
