import { SternaError } from "@sterna/shared/errors";

/** The code of an error of the file system; null for other errors. */
export function errnoOf(error: unknown): string | null {
	return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}

/**
 * What an error of the file system means to who uses the repository: full, not allowed, not there, or out of reach.
 * `what` names the object. Errors that are translated already pass.
 */
export function storageError(error: unknown, what: string): SternaError {
	if (error instanceof SternaError) return error;
	const errno = errnoOf(error);
	switch (errno) {
		case "ENOENT":
		case "ENOTDIR":
		case "EISDIR":
			return new SternaError("not_found", `${what} is not in the repository`, { cause: error });
		case "EEXIST":
			return new SternaError("conflict", `${what} is in the repository already`, { cause: error });
		case "ENOSPC":
		case "EDQUOT":
		case "EFBIG":
			return new SternaError("no_capacity", `there is no room for ${what}: the repository's file system is full`, {
				cure: "free space there, or prune recovery points and collect",
				cause: error,
			});
		case "EACCES":
		case "EPERM":
		case "EROFS":
			return new SternaError(
				"forbidden",
				`the repository's folder does not let ${what} be read or written (${errno})`,
				{
					cure: "let the agent's user own the folder, and mount it writable; it needs hard links",
					cause: error,
				},
			);
		case "ELOOP":
			return new SternaError("forbidden", `${what} is a symbolic link; the repository follows none`, { cause: error });
		default:
			return new SternaError("unavailable", `${what} cannot be reached (${errno ?? "unknown error"})`, {
				cure: "look after the disk or the network share that holds the repository",
				cause: error,
			});
	}
}
