import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createTRPCClient, httpLink, TRPCClientError } from "@trpc/client";
import pg from "pg";
import type { AppRouter } from "../root.ts";

const entry = join(import.meta.dirname, "../../server.ts");
const startTimeoutMs = 60_000;
export const admin = { userName: "ann", email: "ann@example.com", password: "correct horse battery" };

export type Api = ReturnType<typeof createTRPCClient<AppRouter>>;

/** A whole console as a process of its own, without pages: it can be killed like any other. */
export class ConsoleProcess {
	readonly dir = mkdtempSync(join(tmpdir(), "sterna-c-"));
	readonly #variables: Record<string, string>;
	#child: ChildProcess | null = null;
	webPort = 0;
	agentPort = 0;
	setupToken = "";

	private constructor(variables: Record<string, string>) {
		this.#variables = variables;
	}

	static async start(variables: Record<string, string> = {}): Promise<ConsoleProcess> {
		const console = new ConsoleProcess(variables);
		await console.#spawn();
		return console;
	}

	get url(): string {
		return `http://localhost:${this.webPort}`;
	}

	get pid(): number {
		return this.#child?.pid ?? 0;
	}

	/** Ends it as a crash would and starts it again on the same ports and data. PostgreSQL outlives it. */
	async killAndRestart(): Promise<void> {
		await this.kill();
		await this.#spawn();
	}

	async kill(): Promise<void> {
		const child = this.#child;
		if (!child) return;
		const ended = new Promise((resolve) => child.once("exit", resolve));
		child.kill("SIGKILL");
		await ended;
	}

	/** Starts again what was killed. */
	restart(): Promise<void> {
		return this.#spawn();
	}

	/** Runs a statement on its database, behind its back: best while it is killed. */
	async inDatabase(statement: string): Promise<void> {
		const folder = encodeURIComponent(join(this.dir, "postgres"));
		const client = new pg.Client({ connectionString: `postgresql://sterna@localhost/postgres?host=${folder}` });
		await client.connect();
		await client.query(statement).finally(() => client.end());
	}

	/** Ends it as an admin would, and removes its data. Returns its exit code. */
	async stop(): Promise<number | null> {
		const child = this.#child;
		const ended = child && new Promise<number | null>((resolve) => child.once("exit", resolve));
		child?.kill("SIGTERM");
		const code = await ended;
		rmSync(this.dir, { recursive: true, force: true });
		return code;
	}

	async #spawn(): Promise<void> {
		const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", entry], {
			stdio: ["ignore", "pipe", "pipe"],
			env: {
				...process.env,
				NODE_ENV: "production",
				STERNA_PAGES: "off",
				STERNA_LOG_LEVEL: "warn",
				STERNA_DATA: this.dir,
				STERNA_AGENT_LISTEN: "127.0.0.1",
				STERNA_AGENT_ADDRESS: "127.0.0.1",
				PORT: String(this.webPort),
				STERNA_AGENT_PORT: String(this.agentPort),
				...this.#variables,
			},
		});
		this.#child = child;
		let errors = "";
		child.stderr?.on("data", (chunk) => {
			errors = (errors + chunk).slice(-4000);
		});
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`no ready line; stderr: ${errors}`)), startTimeoutMs);
			child.once("exit", (code) => reject(new Error(`the console ended with ${code}: ${errors}`)));
			createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
				const [what = "", value = ""] = line.split(/: (.*)/);
				if (what === "ready") this.webPort = Number(new URL(value).port);
				if (what === "setup") this.setupToken = new URL(value).searchParams.get("token") ?? "";
				if (what !== "agents") return;
				this.agentPort = Number(value);
				clearTimeout(timer);
				// The setup line, if any, is in the same write.
				setImmediate(resolve);
			});
		});
	}
}

/** A browser's side of the API: keeps cookies, says where its page is from. */
export class Browser {
	readonly #console: ConsoleProcess;
	readonly #cookies = new Map<string, string>();
	readonly api: Api;

	constructor(console: ConsoleProcess) {
		this.#console = console;
		this.api = createTRPCClient<AppRouter>({
			links: [
				httpLink({
					url: `${console.url}/api/trpc`,
					fetch: (url, init) => this.fetch(String(url), init as RequestInit),
				}),
			],
		});
	}

	/** Makes the first admin, and is signed in as that. */
	static async asFirstAdmin(console: ConsoleProcess): Promise<Browser> {
		const browser = new Browser(console);
		await browser.api.setup.createAdmin.mutate({ token: console.setupToken, ...admin });
		return browser;
	}

	get cookie(): string {
		return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
	}

	async fetch(url: string, init: RequestInit = {}): Promise<Response> {
		const headers = new Headers(init.headers);
		if (!headers.has("origin")) headers.set("origin", this.#console.url);
		if (this.cookie) headers.set("cookie", this.cookie);
		const response = await fetch(new URL(url, this.#console.url), { ...init, headers });
		for (const cookie of response.headers.getSetCookie()) {
			const [pair = ""] = cookie.split(";");
			const [name = "", value = ""] = pair.split(/=(.*)/);
			if (value === "" || /max-age=0/i.test(cookie)) this.#cookies.delete(name);
			else this.#cookies.set(name, value);
		}
		return response;
	}
}

/** Waits until the console has taken in what a host that joined told of itself: from then on it can be given work. */
export async function heard(api: Api, hostId: string): Promise<void> {
	await until("what the host tells of itself", async () => (await api.hosts.get.query({ hostId })).cpuModel);
}

/** The code of the error that `call` ends with; `ok` when it succeeds. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
	try {
		await call;
		return "ok";
	} catch (error) {
		if (!(error instanceof TRPCClientError)) throw error;
		const { data } = error as TRPCClientError<AppRouter>;
		return data?.sterna.code ?? `no code: ${error.message}`;
	}
}

/** Asks again until the answer is something. Rejects after `timeoutMs`, saying `what` was waited for. */
export async function until<Result>(
	what: string,
	ask: () => Promise<Result | null | undefined | false>,
	timeoutMs = 60_000,
): Promise<Result> {
	const deadline = Date.now() + timeoutMs;
	for (;;) {
		const answer = await ask();
		if (answer !== null && answer !== undefined && answer !== false) return answer;
		if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}
