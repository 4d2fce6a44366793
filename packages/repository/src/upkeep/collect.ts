import { SternaError } from "@sterna/shared/errors";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";

export async function collect(
	_opened: Opened,
	_options: UpkeepOptions,
): Promise<{ freedBytes: number; waitingFor: number }> {
	throw new SternaError("internal", "collect is not built yet");
}
