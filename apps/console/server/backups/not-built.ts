import { SternaError } from "@sterna/shared/errors";

export function notBuilt(): never {
	throw new SternaError("unavailable", "not built yet");
}
