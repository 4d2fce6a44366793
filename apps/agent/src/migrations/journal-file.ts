import { join } from "node:path";
import { JournalEntry } from "@sterna/migration/journal";
import { MigrationId } from "@sterna/shared/ids";
import { Journals } from "../journals.ts";

/** The journals of this host's moves: `<dataDir>/migrations/<migrationId>.jsonl`. */
export class JournalFiles extends Journals<MigrationId, JournalEntry> {
	constructor(dataDir: string) {
		super({ folder: join(dataDir, "migrations"), ids: MigrationId, entries: JournalEntry });
	}
}
