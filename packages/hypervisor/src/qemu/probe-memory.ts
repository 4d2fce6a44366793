import { randomBytes } from "node:crypto";
import { access, constants, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { AcceleratorProbe } from "@sterna/shared/host";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";

/*
 * What a look at the machine told, remembered for as long as it can be true: a payload that loops on a /dev/kvm that
 * runs no guest costs seconds of a processor, and would cost them at each start of an agent. Nothing is lost with the
 * file; whatever is doubtful about it is no answer, and the machine is looked at again.
 */

/** All that the outcome follows from. Any difference, and it is not known. */
const Circumstances = z.strictObject({
	/** Another kernel, other firmware settings, other hardware: all come with a boot (random(4)). */
	bootId: z.string(),
	program: z.strictObject({ path: z.string(), sizeBytes: z.int(), modifiedMs: z.number(), version: z.string() }),
	/** A module that is loaded again, with other parameters, makes a new node; `chmod` and `chown` set its `ctime`. */
	kvm: z.strictObject({ device: z.int(), inode: z.int(), changedMs: z.number(), mayOpen: z.boolean() }).nullable(),
});
export type Circumstances = z.infer<typeof Circumstances>;

const Outcome = z.strictObject({ machineTypes: z.array(z.string()).min(1), probe: AcceleratorProbe });
export type Outcome = z.infer<typeof Outcome>;

const Memory = z.strictObject({ circumstances: Circumstances, outcome: Outcome });

const maxFileBytes = 64 * 1024;

/** `version`: all that the program says when it is asked, with its package's revision. Null: not to be told here. */
export async function readCircumstances(program: string, version: string): Promise<Circumstances | null> {
	const bootId = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => null);
	if (bootId === null) return null;
	const { size, mtimeMs } = await stat(program);
	return {
		bootId: bootId.trim(),
		program: { path: program, sizeBytes: size, modifiedMs: mtimeMs, version },
		kvm: await readKvm(),
	};
}

/** Null when this machine has no /dev/kvm. */
export async function readKvm(): Promise<Circumstances["kvm"]> {
	const node = await stat("/dev/kvm").catch(() => null);
	if (node === null) return null;
	const mayOpen = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
		() => true,
		() => false,
	);
	return { device: node.rdev, inode: node.ino, changedMs: node.ctimeMs, mayOpen };
}

/**
 * What was found under the same circumstances; null when that is not known for sure. A file that somebody else could
 * have written (a link, another owner, writable for others) tells nothing: by it a guest would run on what was never tried.
 */
export async function recall(path: string, circumstances: Circumstances): Promise<Outcome | null> {
	const text = await readOwn(path);
	if (text === null) return null;
	try {
		const memory = Memory.parse(parseJson(text));
		return isDeepStrictEqual(memory.circumstances, circumstances) ? memory.outcome : null;
	} catch {
		return null;
	}
}

/** Best effort: what cannot be kept is found out again. Whoever reads meanwhile sees the old file or the new one. */
export async function remember(path: string, circumstances: Circumstances, outcome: Outcome): Promise<void> {
	const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
	const memory: z.infer<typeof Memory> = { circumstances, outcome };
	try {
		await writeFile(temporary, JSON.stringify(memory), { mode: 0o600, flag: "wx" });
		await rename(temporary, path);
	} catch {
		await rm(temporary, { force: true }).catch(() => undefined);
	}
}

async function readOwn(path: string): Promise<string | null> {
	const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
	const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => null);
	if (file === null) return null;
	try {
		const { uid, mode, size } = await file.stat();
		const isRegular = (mode & constants.S_IFMT) === constants.S_IFREG;
		const isOurs = uid === process.geteuid?.() && (mode & 0o022) === 0;
		return isRegular && isOurs && size <= maxFileBytes ? await file.readFile("utf8") : null;
	} catch {
		return null;
	} finally {
		await file.close();
	}
}
