import { newId, PointId } from "@sterna/repository/testing/points";
import { expect, test } from "vitest";
import { verifyPoints } from "./verify.ts";

test.each(["all", "newest"] as const)(
	"a point without a readable manifest is damaged, not left out (%s)",
	async (wanted) => {
		const pointId = newId(PointId);
		const points = async () => ({ points: [], unreadable: [{ pointId, reason: "points/x is not as it was written" }] });
		const openPoint = () => Promise.reject(new Error("nothing can be opened without a manifest"));
		expect(await verifyPoints({ points, openPoint }, wanted, () => {})).toEqual({
			points: [{ pointId, guestName: "unknown", readBytes: 0, damage: "points/x is not as it was written" }],
		});
	},
);
