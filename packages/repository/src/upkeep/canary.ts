import { SternaError } from "@sterna/shared/errors";
import type { Opened } from "../opened.ts";

export async function canary(_opened: Opened): Promise<boolean> {
	throw new SternaError("internal", "canary is not built yet");
}
