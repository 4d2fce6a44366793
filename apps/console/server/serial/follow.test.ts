import { GuestId, HostId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { followSerial, type SerialSource } from "./follow.ts";

const guestId = newId(GuestId);
const [a, b] = [newId(HostId), newId(HostId)];

/** Hosts with logs; a stream sends what there is from its offset, piece by piece, and ends when `leave` was called. */
function fleet() {
	const logs = new Map<HostId, string>([
		[a, ""],
		[b, ""],
	]);
	const ended = new Set<HostId>();
	const state = { owner: a as HostId | null, running: true, connected: true };
	const waiting = new Set<() => void>();
	const change = () => {
		for (const wake of [...waiting]) wake();
	};
	const until = (signal: AbortSignal) =>
		new Promise<void>((resolve) => {
			const wake = () => {
				waiting.delete(wake);
				resolve();
			};
			waiting.add(wake);
			signal.addEventListener("abort", wake, { once: true });
		});
	const source: SerialSource = {
		ownerOf: () => state.owner && { hostId: state.owner, connected: state.connected, running: state.running },
		stream: async (hostId, fromOffset, onItem, signal) => {
			let offset = fromOffset;
			for (;;) {
				const text = (logs.get(hostId) ?? "").slice(offset);
				if (text) onItem({ offset, data: Buffer.from(text).toString("base64") });
				offset += text.length;
				if (signal.aborted || (ended.has(hostId) && !text)) return;
				if (!text) await until(signal);
			}
		},
		change: until,
	};
	return {
		source,
		state,
		change,
		print: (hostId: HostId, text: string) => {
			logs.set(hostId, (logs.get(hostId) ?? "") + text);
			change();
		},
		leave: (hostId: HostId) => {
			ended.add(hostId);
			change();
		},
	};
}

const settle = async () => {
	for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

test("a move loses no byte and repeats none, even when the target prints before the source is read to its end", async () => {
	const { source, state, change, print, leave } = fleet();
	const stop = new AbortController();
	let seen = "";
	const following = followSerial(guestId, source, (data) => (seen += data.toString()), stop.signal);
	print(a, "1 2 3 ");
	await settle();
	print(b, "6 7 ");
	state.owner = b;
	print(a, "4 5 ");
	leave(a);
	await settle();
	change();
	await settle();
	print(b, "8 ");
	await settle();
	expect(seen).toBe("1 2 3 4 5 6 7 8 ");
	stop.abort();
	await following;
});

test("a guest that is started again goes on behind what was read", async () => {
	const { source, state, print, leave, change } = fleet();
	const stop = new AbortController();
	let seen = "";
	const following = followSerial(guestId, source, (data) => (seen += data.toString()), stop.signal);
	print(a, "bye ");
	leave(a);
	state.running = false;
	await settle();
	state.running = true;
	print(a, "hello ");
	change();
	await settle();
	expect(seen).toBe("bye hello ");
	stop.abort();
	await following;
});

test("it ends when the guest is deleted", async () => {
	const { source, state, leave, change } = fleet();
	const following = followSerial(guestId, source, () => {}, new AbortController().signal);
	state.owner = null;
	leave(a);
	await settle();
	change();
	await following;
});
