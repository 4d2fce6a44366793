import { SternaError } from "@sterna/shared/errors";
import type { PointId } from "@sterna/shared/ids";
import type { Opened } from "../opened.ts";

export async function prune(_opened: Opened, _pointIds: readonly PointId[]): Promise<void> {
	throw new SternaError("internal", "prune is not built yet");
}
