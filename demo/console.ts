import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ConsoleApi, consoleApi } from "./api.ts";
import { type Running, startProcess, stopProcess, tail } from "./processes.ts";
import { until } from "./until.ts";

const consoleDir = new URL("../apps/console", import.meta.url).pathname;

export interface ConsoleRequest {
	dataDir: string;
	port: number;
	/** Address on which agents reach it. */
	agentAddress: string;
	controlSocket: string;
	/** Pages that reload as they are edited, instead of built ones. */
	development: boolean;
}

export interface DemoConsole {
	url: string;
	/** The one-time link that makes the first admin. */
	setupUrl: string;
	/** The API as the person at this machine. */
	api: ConsoleApi;
	/** Ends the console at once, as a crash would, and starts it again; resolves when it answers. */
	killAndRestart(): Promise<void>;
	stop(): Promise<void>;
}

/** Starts the console and waits until it answers. */
export async function startConsole(request: ConsoleRequest): Promise<DemoConsole> {
	const { dataDir, port, agentAddress, controlSocket, development } = request;
	mkdirSync(dataDir, { recursive: true, mode: 0o700 });
	const logPath = join(dataDir, "console.log");
	const apiSocket = join(dataDir, "api.sock");
	const url = `http://localhost:${port}`;
	const env = {
		NODE_ENV: development ? "development" : "production",
		PORT: String(port),
		STERNA_DATA: dataDir,
		STERNA_URL: url,
		STERNA_AGENT_LISTEN: agentAddress,
		STERNA_AGENT_PORT: String(port + 4443),
		STERNA_AGENT_ADDRESS: agentAddress,
		STERNA_API_SOCKET: apiSocket,
		STERNA_DEMO_SOCKET: controlSocket,
		STERNA_AGENT_DIR: join(consoleDir, "../agent/dist"),
	};
	let running: Running;
	const start = async () => {
		const entry = development ? "server.ts" : "dist/server.js";
		running = startProcess({ command: [process.execPath, entry], cwd: consoleDir, env, logPath });
		const { child } = running;
		await until("the console to answer", 120_000, async () => {
			if (child.exitCode !== null) throw new Error(`the console ended:\n${tail(logPath)}`);
			return fetch(`${url}/healthz`).then(
				(answer) => answer.ok,
				() => false,
			);
		});
	};
	await start();
	return {
		url,
		setupUrl: setupLink(logPath, url),
		api: consoleApi(apiSocket),
		killAndRestart: async () => {
			running.child.kill("SIGKILL");
			await running.ended;
			await start();
		},
		stop: () => stopProcess(running, 15_000),
	};
}

function setupLink(logPath: string, url: string): string {
	const token = /\/setup\?token=([\w-]+)/.exec(readFileSync(logPath, "utf8"))?.[1];
	return token ? `${url}/setup?token=${token}` : url;
}
