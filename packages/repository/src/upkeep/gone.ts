import { SternaError } from "@sterna/shared/errors";

/** For an object that went between listing and reading: null. Every other error stays one. */
export function nullIfGone(error: unknown): null {
	if (error instanceof SternaError && error.code === "not_found") return null;
	throw error;
}
