import { describe, expect, test } from "vitest";
import { askTargets, targetsToAsk } from "./targets.ts";

const hosts = Array.from({ length: 3000 }, (_, index) => ({ id: `id-${index}`, name: `rack-${index}` }));

test("hosts that fit are asked first, best first, then the others by name", () => {
	const asked = targetsToAsk(hosts.slice(0, 12), ["id-7", "id-11"]);
	expect(asked.map(({ name }) => name)).toEqual([
		...["rack-7", "rack-11", "rack-0", "rack-1", "rack-2", "rack-3", "rack-4"],
		...["rack-5", "rack-6", "rack-8", "rack-9", "rack-10"],
	]);
});

test("of thousands of hosts no more are asked than a person reads, and the best is among them", () => {
	const asked = targetsToAsk(hosts, ["id-2999"]);
	expect(asked).toHaveLength(24);
	expect(asked[0]?.name).toBe("rack-2999");
});

describe("while all hosts that were asked refuse", () => {
	const ids = (count: number) => hosts.slice(0, count).map(({ id }) => id);
	const answering = (free: string | null) => async (host: { id: string }) => ({
		id: host.id,
		refusals: host.id === free ? [] : ["its processor lacks what the guest was shown"],
	});

	test("more that fit are asked: of 30 only the last takes the guest, and it is found", async () => {
		const answers = await askTargets(hosts.slice(0, 30), ids(30), answering("id-29"));
		expect(answers).toHaveLength(30);
		expect(answers.at(-1)).toEqual({ id: "id-29", refusals: [] });
	});

	test("no more are asked than one round where one takes the guest", async () => {
		expect(await askTargets(hosts, ids(3000), answering("id-3"))).toHaveLength(24);
	});

	test("those that do not fit are not asked in further rounds", async () => {
		expect(await askTargets(hosts, ids(26), answering(null))).toHaveLength(26);
		expect(await askTargets(hosts, ids(3), answering(null))).toHaveLength(24);
	});

	test("five rounds are the end, of thousands too", async () => {
		expect(await askTargets(hosts, ids(3000), answering(null))).toHaveLength(120);
	});

	test("no further round begins after ten seconds", async () => {
		let nowMs = 0;
		const slow = async (host: { id: string }) => {
			nowMs += 250;
			return answering(null)(host);
		};
		// 24 questions take 6 s here, 48 take 12 s.
		expect(await askTargets(hosts, ids(3000), slow, () => nowMs)).toHaveLength(48);
	});
});
