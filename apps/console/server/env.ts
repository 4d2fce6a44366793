import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";

const Port = z.coerce.number().int().min(0).max(65535);

/** Everything that the console takes from its environment. */
const Environment = z.object({
	/** Folder of the embedded database, the authority's keys and the local socket. */
	STERNA_DATA: z.string().min(1).default("./data"),
	/** Any PostgreSQL; the embedded one without. */
	DATABASE_URL: z.string().min(1).optional(),
	/** Where browsers connect. */
	STERNA_LISTEN: z.string().min(1).default("127.0.0.1"),
	PORT: Port.default(3000),
	/** What browsers type, when a proxy or another name stands before the console: `https://console.example`. */
	STERNA_URL: z.url({ protocol: /^https?$/ }).optional(),
	/** Where agents connect; 0 takes a free port. */
	STERNA_AGENT_LISTEN: z.string().min(1).default("0.0.0.0"),
	STERNA_AGENT_PORT: Port.default(7443),
	/** The name or address that a join line carries; by default the one that the admin's browser uses. */
	STERNA_AGENT_ADDRESS: z
		.string()
		.regex(/^([a-zA-Z0-9.-]{1,255}|[0-9a-fA-F:]{2,45})$/)
		.optional(),
	/** The API for the person at this machine, as admin; only the console's own user can open it. */
	STERNA_API_SOCKET: z.string().min(1).optional(),
	/** Folder of the agent's bundle that a new server fetches. */
	STERNA_AGENT_DIR: z.string().min(1).optional(),
	/** Unix socket of the demo: with it, "break something" is offered. */
	STERNA_DEMO_SOCKET: z.string().min(1).optional(),
	STERNA_LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
	/** The server's part only, without pages: for tests of the doors. */
	STERNA_PAGES: z.enum(["on", "off"]).default("on"),
	NODE_ENV: z.string().default("development"),
});

export interface ConsoleEnvironment {
	dataDir: string;
	databaseUrl: string | null;
	listen: string;
	port: number;
	url: string | null;
	agentListen: string;
	agentPort: number;
	agentAddress: string | null;
	apiSocket: string;
	agentDir: string;
	demoSocket: string | null;
	logLevel: string;
	pages: boolean;
	development: boolean;
}

/** @throws {ZodError} naming the variable that is wrong. */
export function readEnvironment(variables: NodeJS.ProcessEnv, consoleDir: string): ConsoleEnvironment {
	const env = Environment.parse(variables);
	const dataDir = resolve(env.STERNA_DATA);
	return {
		dataDir,
		databaseUrl: env.DATABASE_URL ?? null,
		listen: env.STERNA_LISTEN,
		port: env.PORT,
		url: env.STERNA_URL ?? null,
		agentListen: env.STERNA_AGENT_LISTEN,
		agentPort: env.STERNA_AGENT_PORT,
		agentAddress: env.STERNA_AGENT_ADDRESS ?? null,
		apiSocket: env.STERNA_API_SOCKET ?? join(dataDir, "api.sock"),
		agentDir: env.STERNA_AGENT_DIR ?? findAgentDir(consoleDir),
		demoSocket: env.STERNA_DEMO_SOCKET ?? null,
		logLevel: env.STERNA_LOG_LEVEL,
		pages: env.STERNA_PAGES === "on",
		development: env.NODE_ENV !== "production",
	};
}

/** Beside this console when it was shipped with one; in the repository, seen from the source or from the built console. */
function findAgentDir(consoleDir: string): string {
	const shipped = resolve(consoleDir, "agent");
	const places = [shipped, resolve(consoleDir, "../agent/dist"), resolve(consoleDir, "../../../../agent/dist")];
	return places.find((dir) => existsSync(join(dir, "sterna-agent.js"))) ?? shipped;
}
