import { expect, test } from "vitest";
import { targetsToAsk } from "./targets.ts";

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
