import type { ReportEvent } from "@sterna/shared/protocol/report";
import { drizzle } from "drizzle-orm/node-postgres";
import { pino } from "pino";
import { expect, test } from "vitest";
import { Changes } from "../changes.ts";
import * as schema from "../db/schema.ts";
import { EventLog } from "../events/log.ts";
import { hostEntry } from "../testing/inventory-facts.ts";
import { Intake } from "./intake.ts";
import { Inventory } from "./inventory.ts";

const run = "0b0e8a5e-7d06-4f0e-9b4f-000000000001";
const event: ReportEvent = { type: "findings.changed", findings: [] };

/** A host that was heard up to report 4, and what became of the findings that it tells. */
function scene({ write }: { write: () => Promise<void> }) {
	const now = () => 1_800_000_000_000;
	const [db, changes, inventory] = [drizzle.mock({ schema }), new Changes(), new Inventory()];
	const host = hostEntry("gull", { lastReport: { run, id: 4 } });
	inventory.hosts.set(host.id, host);
	const core = { db, inventory, changes, events: new EventLog(db, changes, now), log: pino({ level: "silent" }), now };
	const lost: string[] = [];
	const intake = new Intake(core, {
		guestReported: async () => {},
		migrationReported: async () => {},
		findingsReported: write,
		taskReported: async () => true,
		tasksKnown: async () => {},
		metricsSampled: () => {},
		foreignReport: async () => {},
		lost: (hostId) => void lost.push(hostId),
	});
	return { host, intake, lost };
}

test("a report that was written is where the host's reports are taken up again", async () => {
	const { host, intake } = scene({ write: async () => {} });
	await intake.take(host.id, { run, id: 5, event });
	expect(host.lastReport).toEqual({ run, id: 5 });
});

test("after a report that could not be written the host is asked for its whole state, so that nothing stays untold", async () => {
	const { host, intake, lost } = scene({ write: () => Promise.reject(new Error("no database")) });
	await expect(intake.take(host.id, { run, id: 5, event })).rejects.toThrow("no database");
	expect(host.lastReport).toBeNull();
	await intake.take(host.id, { run, id: 6, event });
	expect(lost).toEqual([host.id]);
});
