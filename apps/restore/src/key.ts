import { readFile } from "node:fs/promises";
import { RepositoryKey } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";

/** The key from a file, or from the environment. @throws {SternaError} `invalid` when there is none, or it is no key. */
export async function readKey(file: string | undefined, environment: NodeJS.ProcessEnv): Promise<RepositoryKey> {
	const text = file === undefined ? environment.STERNA_REPOSITORY_KEY : await readKeyFile(file);
	if (text === undefined) {
		throw new SternaError("invalid", "no key was given", {
			cure: "name the file that holds it with --key-file, or set STERNA_REPOSITORY_KEY",
		});
	}
	const key = RepositoryKey.safeParse(text.trim());
	if (key.success) return key.data;
	throw new SternaError("invalid", "what was given as a key is none", {
		cure: "a key begins with sterna-key-1- and has 58 letters and digits after it",
	});
}

async function readKeyFile(path: string): Promise<string> {
	return readFile(path, "utf8").catch((cause: unknown) => {
		throw new SternaError("not_found", `the key file ${path} cannot be read`, { cause });
	});
}
