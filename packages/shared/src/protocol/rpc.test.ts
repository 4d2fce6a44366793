import { expect, test } from "vitest";
import { SternaError } from "../errors.ts";
import { GuestId, newId } from "../ids.ts";
import { type Caller, Endpoint, type Handlers } from "./rpc.ts";
import { negotiateVersion } from "./version.ts";

/** Handlers of which only the named are there; the others are never called in these tests. */
function only(some: Partial<Handlers>): Handlers {
	return some as Handlers;
}

/** Two endpoints on one in-memory wire; `agent` serves. */
function connect(handlers: Handlers, caller: Caller = { audience: "console", hostId: null }) {
	const ends: { console?: Endpoint; agent?: Endpoint; problems: string[]; closes: string[] } = {
		problems: [],
		closes: [],
	};
	const queue: (() => void)[] = [];
	const wire = (to: "console" | "agent") => ({
		send: (text: string) => {
			queue.push(() => ends[to]?.receive(text));
			queueMicrotask(() => queue.shift()?.());
		},
		close: (reason: string) => {
			ends.closes.push(reason);
		},
	});
	const onProtocolError = (error: SternaError) => ends.problems.push(error.message);
	ends.agent = new Endpoint({ wire: wire("console"), program: "agent", handlers, caller, onProtocolError });
	ends.console = new Endpoint({ wire: wire("agent"), program: "console", onProtocolError });
	return { console: ends.console, agent: ends.agent, ends };
}

test("a call is answered with the handler's answer", async () => {
	const { console } = connect(only({ "host.metrics": async () => ({ samples: [] }) }));
	expect(await console.call("host.metrics", { since: 0 })).toEqual({ samples: [] });
});

test("a handler's error arrives with its code, sentence and cure", async () => {
	const refusal = new SternaError("wrong_state", "web-1 is stopped", { cure: "start it first" });
	const { console } = connect(
		only({
			"host.metrics": async () => {
				throw refusal;
			},
		}),
	);
	await expect(console.call("host.metrics", { since: 0 })).rejects.toMatchObject({
		code: "wrong_state",
		message: "web-1 is stopped",
		cure: "start it first",
	});
});

test("an unexpected error tells the caller nothing of the server", async () => {
	const { console } = connect(
		only({
			"host.metrics": async () => {
				throw new Error("ENOENT: /var/lib/secret");
			},
		}),
	);
	const error = await console.call("host.metrics", { since: 0 }).catch((thrown: SternaError) => thrown);
	expect(error).toMatchObject({ code: "internal" });
	expect(JSON.stringify(error)).not.toContain("secret");
});

test("a command of the console is refused to a peer", async () => {
	const handlers = only({ "guest.delete": async () => ({}) });
	const { console } = connect(handlers, { audience: "peer", hostId: crypto.randomUUID() });
	const call = console.call("guest.delete", { guestId: newId(GuestId), epoch: 1 });
	await expect(call).rejects.toMatchObject({ code: "forbidden" });
});

test("bad input is refused at the door, before the handler", async () => {
	let calls = 0;
	const { console } = connect(
		only({
			"host.metrics": async () => {
				calls++;
				return { samples: [] };
			},
		}),
	);
	const call = console.call("host.metrics", { since: -1 });
	await expect(call).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining("since") });
	expect(calls).toBe(0);
});

test("a call ends with a timeout when nobody answers, and the handler is told", async () => {
	let aborted = false;
	const { console } = connect(
		only({
			"host.metrics": (_input, _caller, signal) =>
				new Promise((_resolve, reject) => {
					signal.addEventListener("abort", () => {
						aborted = true;
						reject(new SternaError("cancelled", "nobody waits"));
					});
				}),
		}),
	);
	await expect(console.call("host.metrics", { since: 0 }, { timeoutMs: 20 })).rejects.toMatchObject({
		code: "timeout",
	});
	await expect.poll(() => aborted).toBe(true);
});

test("when the connection is lost every waiting call says so", async () => {
	const { console } = connect(only({ "host.metrics": () => new Promise(() => {}) }));
	const call = console.call("host.metrics", { since: 0 });
	console.closed("the socket was closed");
	await expect(call).rejects.toMatchObject({ code: "unavailable" });
	await expect(console.call("host.metrics", { since: 0 })).rejects.toMatchObject({ code: "unavailable" });
});

test("a stream's items arrive in order until it ends", async () => {
	const { console } = connect(
		only({
			"guest.serialOutput": async function* () {
				yield { offset: 0, data: "YQ==" };
				yield { offset: 1, data: "Yg==" };
			},
		}),
	);
	const items: number[] = [];
	const input = { guestId: newId(GuestId), fromOffset: 0 };
	await console.stream("guest.serialOutput", input, (item) => items.push(item.offset), new AbortController().signal);
	expect(items).toEqual([0, 1]);
});

test.each([
	["a frame before the hello", '{"type":"result","id":1,"output":1}'],
	["garbage", "\u0000\u0001"],
	["an unknown kind of frame", '{"type":"exec","id":1}'],
	["an unknown version", '{"type":"hello","versions":[99],"program":"x"}'],
	["nesting of 10,000 levels", "[".repeat(10_000)],
])("%s ends the connection with a reason", (_what, text) => {
	const closes: string[] = [];
	const problems: string[] = [];
	const endpoint = new Endpoint({
		wire: { send: () => {}, close: (reason) => closes.push(reason) },
		program: "console",
		onProtocolError: (error) => problems.push(error.message),
	});
	endpoint.receive(text);
	expect(closes).toHaveLength(1);
	expect(problems[0]).not.toBe("");
});

test("the newest common version wins; without one both lists are named", () => {
	expect(negotiateVersion([1, 2, 3], [2, 3, 4])).toBe(3);
	expect(() => negotiateVersion([1], [2])).toThrow("this side speaks 1, the other speaks 2");
});
