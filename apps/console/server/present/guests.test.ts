import { newId, VolumeId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import { expect, test } from "vitest";
import { Inventory } from "../inventory/inventory.ts";
import { guestEntry, hostEntry } from "../testing/inventory-facts.ts";
import { guestView } from "./guests.ts";

test("a disk that is being moved is shown with how far it is, as long as its host is heard", () => {
	const inventory = new Inventory();
	const host = hostEntry("gull");
	const guest = guestEntry("web", host);
	inventory.hosts.set(host.id, host);
	inventory.guests.set(guest.id, guest);
	const report = guest.reports.get(host.id);
	if (!report) throw new Error("the guest is not reported");
	expect(guestView(guest, inventory, 0).volumeMove).toBeNull();
	const volumeMove = { volumeId: newId(VolumeId), toPool: "fast", copiedBytes: GiB, totalBytes: 4 * GiB };
	guest.reports.set(host.id, { ...report, volumeMove });
	expect(guestView(guest, inventory, 0).volumeMove).toEqual(volumeMove);
	host.connected = false;
	expect(guestView(guest, inventory, 0).volumeMove).toBeNull();
});
