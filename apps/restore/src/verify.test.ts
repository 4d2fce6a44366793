import type { Repository } from "@sterna/repository/repository";
import { newId, PointId } from "@sterna/repository/testing/points";
import { expect, test } from "vitest";
import { verifyPoints } from "./verify.ts";

test.each(["all", "newest"] as const)(
	"a point without a readable manifest is damaged, not left out (%s)",
	async (wanted) => {
		const pointId = newId(PointId);
		const points = async () => ({ points: [], unreadable: [{ pointId, reason: "points/x is not as it was written" }] });
		const repository = { points } satisfies Pick<Repository, "points"> as unknown as Repository;
		expect(await verifyPoints(repository, wanted, () => {})).toEqual({
			points: [{ pointId, guestName: "unknown", readBytes: 0, damage: "points/x is not as it was written" }],
		});
	},
);
