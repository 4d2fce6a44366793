import type { Logger } from "pino";
import type { Changes } from "./changes.ts";
import type { Database } from "./db/database.ts";
import type { EventLog } from "./events/log.ts";
import type { Inventory } from "./inventory/inventory.ts";

/** What almost every part of the server works with. */
export interface Core {
	readonly db: Database;
	readonly inventory: Inventory;
	readonly changes: Changes;
	readonly events: EventLog;
	readonly log: Logger;
	now(): number;
}
