import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";

export interface StartGuestfish {
	/** Of the session alone, owned by `uid`; short, because sockets are made in it (unix(7): 108 characters). */
	folder: string;
	/** Keeps the appliance from session to session; owned by `uid`. */
	cacheFolder: string;
	/** The user that guestfish and its appliance run as; null: as this process. */
	uid: number | null;
	/** Group that may open /dev/kvm. */
	kvmGroup: number | null;
	usesKvm: boolean;
	/** Unix socket of an NBD server, and the export to look into. */
	socketPath: string;
	exportName: string;
}

/** Bytes as characters of the same number: what guestfish prints may hold names that are no UTF-8. */
type Latin1 = string;

/** guestfish takes the rest of a longer line for a command of its own (its buffer has 8192 characters). */
export const maxLineLength = 8000;
/** More than any answer of a command that this agent gives. */
const maxAnswerBytes = 16 * 1024 * 1024;
const launchTimeoutMs = 180_000;
const closeTimeoutMs = 5000;
/** Blocks of 512 bytes: the appliance's own (sparse) disk of 4 GiB fits; the names of a folder shall not fill this server. */
const maxFileBlocks = (4 * 1024 + 64) * 2048;
/** What the shell answers for a program that is not there (POSIX, "Exit Status for Commands"). */
const exitNotFound = 127;

/**
 * One libguestfs appliance: a small virtual machine that looks into one disk, read-only, and a guestfish that is told
 * what to do line by line (guestfish(1)). The guest's file systems are only ever read inside of it. It ends with this
 * process, because its input ends.
 */
export class Guestfish {
	readonly #child: ChildProcessWithoutNullStreams;
	readonly #ended: Promise<void>;
	#waiting: { mark: string; settle: (answer: Latin1 | SternaError) => void } | null = null;
	#answer = "";
	#last: Promise<unknown> = Promise.resolve();
	#failure: SternaError | null = null;

	private constructor(child: ChildProcessWithoutNullStreams) {
		this.#child = child;
		this.#ended = new Promise((fulfil) => {
			child.on("error", (cause) => {
				this.#fail(new SternaError("unavailable", "guestfish cannot be started", { cause }));
				fulfil();
			});
			child.on("close", (code) => {
				const said = printable(this.#answer.trim().slice(-500));
				this.#fail(
					code === exitNotFound ? notInstalled() : new SternaError("unavailable", `guestfish ended by itself: ${said}`),
				);
				fulfil();
			});
		});
		child.stdin.on("error", () => {}); // its end is told by `close`
		child.stdout.setEncoding("latin1");
		child.stdout.on("data", (text: string) => this.#take(text));
		child.stderr.resume();
	}

	/** Boots the appliance with the disk. @throws {SternaError} `unavailable` naming the package that is missing. */
	static async start(request: StartGuestfish): Promise<Guestfish> {
		const [program = "", ...args] = command(request);
		const child = spawn(program, args, { cwd: request.folder, env: environment(request), detached: true });
		const guestfish = new Guestfish(child);
		try {
			const where = `protocol:nbd server:unix:${request.socketPath}`;
			await guestfish.run(`add-drive ${request.exportName} readonly:true format:raw ${where}`, launchTimeoutMs);
			await guestfish.run("run", launchTimeoutMs);
			return guestfish;
		} catch (error) {
			await guestfish.close();
			throw error;
		}
	}

	/** False when it has ended or was ended: a new one must be started. */
	get isAlive(): boolean {
		return this.#failure === null;
	}

	/**
	 * What one command prints. Commands wait for one another. The line is made of constants and of `quoted` bytes only.
	 * @throws {SternaError} `not_found` and `invalid` for what the file system answers; `timeout`, after which the appliance is ended.
	 */
	run(line: Latin1, timeoutMs: number): Promise<Latin1> {
		if (line.length > maxLineLength)
			return Promise.reject(new SternaError("invalid", "this path is too long to be looked at"));
		const turn = this.#last.then(() => this.#ask(line, timeoutMs));
		this.#last = turn.catch(() => {});
		return turn;
	}

	/** Ends guestfish and its appliance, whatever they are doing. */
	async close(): Promise<void> {
		this.#fail(new SternaError("unavailable", "looking into this backup was ended"));
		this.#child.stdin.end();
		const timer = setTimeout(() => this.#kill(), closeTimeoutMs);
		await this.#ended;
		clearTimeout(timer);
		this.#kill();
	}

	async #ask(line: Latin1, timeoutMs: number): Promise<Latin1> {
		if (this.#failure) throw this.#failure;
		const mark = `sterna-${randomUUID()}`;
		const { promise, resolve } = Promise.withResolvers<Latin1 | SternaError>();
		this.#answer = "";
		this.#waiting = { mark, settle: resolve };
		const timer = setTimeout(() => this.#end(tooSlow(timeoutMs)), timeoutMs);
		// A leading minus: an error is printed and guestfish goes on.
		this.#child.stdin.write(`-${line}\necho ${mark}\n`, "latin1");
		try {
			const answer = await promise;
			if (answer instanceof SternaError) throw answer;
			if (/^(\*stdin\*:\d+: )?libguestfs: error: /m.test(answer)) throw translate(answer);
			return answer;
		} finally {
			clearTimeout(timer);
		}
	}

	#take(text: Latin1): void {
		this.#answer += text;
		if (this.#answer.length > maxAnswerBytes) {
			this.#end(new SternaError("no_capacity", "the answer of the backup's file system is larger than anyone can use"));
		}
		if (!this.#waiting || !this.#answer.endsWith(`${this.#waiting.mark}\n`)) return;
		const { mark, settle } = this.#waiting;
		this.#waiting = null;
		settle(this.#answer.slice(0, -mark.length - 1));
	}

	#end(why: SternaError): void {
		this.#fail(why);
		this.#kill();
	}

	#fail(why: SternaError): void {
		this.#failure ??= why;
		this.#waiting?.settle(this.#failure);
		this.#waiting = null;
	}

	/** The whole group: setpriv and sh have become guestfish, its appliance and helpers stand beside it. */
	#kill(): void {
		if (this.#child.pid === undefined) return;
		try {
			process.kill(-this.#child.pid, "SIGKILL");
		} catch {
			// gone already
		}
	}
}

function command({ uid, kvmGroup }: StartGuestfish): string[] {
	// Errors belong between the marks: one pipe for both. Nothing of a guest is in this line.
	const merged = ["/bin/sh", "-c", `ulimit -f ${maxFileBlocks}; exec "$@" 2>&1`, "sh", "guestfish"];
	if (uid === null) return merged;
	const groups = kvmGroup === null ? "--clear-groups" : `--groups=${kvmGroup}`;
	const rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"];
	return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, groups, ...rights, ...merged];
}

function environment({ folder, cacheFolder, usesKvm }: StartGuestfish): Record<string, string> {
	return {
		PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin",
		LC_ALL: "C",
		HOME: folder,
		XDG_RUNTIME_DIR: folder,
		LIBGUESTFS_TMPDIR: folder,
		LIBGUESTFS_CACHEDIR: cacheFolder,
		// Without a daemon between, and without /dev/kvm where that is there and does not work.
		LIBGUESTFS_BACKEND: "direct",
		...(usesKvm ? {} : { LIBGUESTFS_BACKEND_SETTINGS: "force_tcg" }),
	};
}

/** Errors of the guest's kernel come as its words (strerror(3)) at the end of libguestfs' sentence. */
function translate(text: Latin1): SternaError {
	const said = printable(text.replace(/^.*?libguestfs: error: /, "").trim(), 500);
	if (/No such file or directory\s*$/.test(text))
		return new SternaError("not_found", "there is no such file or folder in the backup");
	if (/(Not a directory|Is a directory|Too many levels of symbolic links|File name too long)\s*$/.test(text))
		return new SternaError("invalid", `the backup's file system says: ${said}`);
	if (/find a suitable kernel|no kernels were found/.test(text)) return noKernel(said);
	return new SternaError("unavailable", `the backup's file system cannot be read: ${said}`);
}

const cure = "apt-get install guestfish linux-image-amd64 on that server, then try again";

function notInstalled(): SternaError {
	return new SternaError("unavailable", "this server cannot look into backups: guestfish is not installed", { cure });
}

function noKernel(said: string): SternaError {
	return new SternaError("unavailable", `guestfish finds no kernel for its appliance on this server: ${said}`, {
		cure,
	});
}

function tooSlow(timeoutMs: number): SternaError {
	return new SternaError("timeout", `the backup's file system did not answer within ${timeoutMs / 1000} s`);
}
