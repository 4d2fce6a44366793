import type { RepositoryDamage } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";

export async function scrub(_opened: Opened, _options: UpkeepOptions): Promise<{ damages: RepositoryDamage[] }> {
	throw new SternaError("internal", "scrub is not built yet");
}
