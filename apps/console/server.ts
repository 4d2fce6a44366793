import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { asSternaError } from "@sterna/shared/errors";
import { pino } from "pino";
import { startConsole } from "./server/console.ts";
import { readEnvironment } from "./server/env.ts";
import { Undo } from "./server/undo.ts";
import { startPages } from "./server/web/pages.ts";
import { listenLocal, listenWeb } from "./server/web/web-server.ts";

/**
 * The console: database, agent port, pages and API in one process. Says one line when it is ready:
 * `ready: http://localhost:3000` and, at the first start, `setup: http://localhost:3000/setup?token=…`.
 */
const startedAt = performance.now();
const consoleDir = import.meta.dirname;
const environment = readEnvironment(process.env, consoleDir);
const log = pino({ level: environment.logLevel }, pino.destination(2));
const undo = new Undo(log);

const stopped = Promise.withResolvers<void>();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.resolve());

try {
	useStandaloneConfig();
	const pages = environment.pages
		? await startPages({ dir: consoleDir, development: environment.development, port: environment.port })
		: null;
	if (pages) undo.add("pages", () => pages.close());
	const console = await startConsole(environment, { log, consoleDir });
	undo.add("console", () => console.close());
	const local = await listenLocal(console);
	undo.add("local API", () => local.close());
	const token = (await console.people.needsAdmin()) ? await console.people.renewSetupToken() : null;
	// From here on /healthz answers: whoever waits for it finds the lines below.
	const web = await listenWeb(console, pages);
	const base = environment.url?.replace(/\/$/, "") ?? `http://localhost:${web.port}`;
	const lines = [`ready: ${base}`, `agents: ${console.agentPort.port}`];
	if (token) lines.push(`setup: ${base}/setup?token=${token}`);
	process.stdout.write(`${lines.join("\n")}\n`);
	undo.add("web server", () => web.close());
	log.info({ startMs: Math.round(performance.now() - startedAt) }, "console ready");
	await stopped.promise;
} catch (thrown) {
	const error = asSternaError(thrown);
	if (error.code === "internal") log.fatal({ err: thrown }, "console not started");
	else process.stderr.write(`sterna-console: ${error.message}${error.cure ? `\n  ${error.cure}` : ""}\n`);
	process.exitCode = 1;
}
await undo.run();
process.exit();

/** A standalone build carries Next's configuration in the server.js that it generated; ours takes its place. */
function useStandaloneConfig(): void {
	const generated = join(consoleDir, "server.js");
	if (environment.development || !existsSync(generated)) return;
	const config = /const nextConfig = (\{.*\})$/m.exec(readFileSync(generated, "utf8"))?.[1];
	if (config) process.env.__NEXT_PRIVATE_STANDALONE_CONFIG = config;
}
