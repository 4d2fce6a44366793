import { GuestId, newId, PointId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { Findings } from "./findings.ts";

test("of more damages than a report holds, those that hit points are told first", () => {
	const findings = new Findings();
	for (let index = 0; index < 1000; index++) findings.add(`packs/${index}`, "missing");
	findings.add("packs/last", "altered");
	const pointId = newId(PointId);
	findings.hits("packs/last", { pointId, guestId: newId(GuestId), guestName: "web-1" }, null);
	const damages = findings.damages();
	expect(damages).toHaveLength(1000);
	expect(damages[0]).toMatchObject({ object: "packs/last", points: [{ pointId }] });
	expect(damages[1]?.object).toBe("packs/0");
});
