import type { RepositoryDamage } from "@sterna/shared/backup";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";

export async function scrub(_opened: Opened, _options: UpkeepOptions): Promise<{ damages: RepositoryDamage[] }> {
	return { damages: [] };
}
