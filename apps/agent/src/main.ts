#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { Name } from "@sterna/shared/names";
import { Command } from "commander";
import { pino } from "pino";
import { startAgent } from "./agent.ts";
import { completeConfig } from "./config.ts";
import { dataFolderMode, makeFolderDurably, writeDurably } from "./durable-file.ts";
import { joinConsole } from "./identity/join.ts";
import { readStatus } from "./status/read.ts";
import { statusText } from "./status/text.ts";
import { agentVersion } from "./version.ts";

const defaultData = "/var/lib/sterna";

const cli = new Command("sterna-agent")
	.description("Runs the guests of this server and reports to its Sterna console.")
	.version(agentVersion, "-V, --version", "print the version")
	.showHelpAfterError()
	.addHelpText(
		"after",
		`
A server joins once and then runs its agent for ever:
  sterna-agent join sterna1:console.example:3000:…   the line from Hosts, Join a server
  sterna-agent run
  sterna-agent status                                works without the console, and without the agent

Guests are processes of their own: they run on when the agent ends, and it finds them again.`,
	);

const data = ["--data <dir>", "folder in which everything is kept", defaultData] as const;

cli
	.command("run")
	.description("run the agent in the foreground until SIGTERM or SIGINT; guests run on after it")
	.option(...data)
	.option("--log-level <level>", "trace, debug, info, warn or error", "info")
	.action(async ({ data, logLevel }: { data: string; logLevel: string }) => {
		const log = pino({ level: logLevel, base: { pid: process.pid } }, pino.destination(2));
		process.on("uncaughtException", (err) => {
			log.fatal({ err }, "agent failed");
			process.exit(1);
		});
		const agent = await startAgent({ dataDir: resolve(data), log });
		const end = (signal: string) => {
			log.info({ signal }, "agent ends, guests run on");
			agent.close().then(
				() => process.exit(0),
				(err: unknown) => {
					log.error({ err }, "agent did not end cleanly");
					process.exit(1);
				},
			);
		};
		process.once("SIGTERM", end);
		process.once("SIGINT", end);
	});

cli
	.command("join")
	.description("join this server to a console; the join string is good for one use and 30 minutes")
	.argument("<join-string>", "the line from Hosts, Join a server")
	.option(...data)
	.option("--name <name>", "what the server is called; by default its host name")
	.option("--config <file>", "configuration to check and keep as config.json in the data folder")
	.action(async (joinString: string, options: { data: string; name?: string; config?: string }) => {
		const dataDir = resolve(options.data);
		const name = serverName(options.name);
		const config = options.config === undefined ? null : await readConfigFile(options.config, dataDir);
		const identity = await joinConsole({ dataDir, joinString, name });
		if (config !== null) {
			await makeFolderDurably(dataDir, dataFolderMode);
			await writeDurably(join(dataDir, "config.json"), config);
		}
		process.stdout.write(
			`${identity.name} has joined ${identity.console.address}. Now run: sterna-agent run${dataDir === defaultData ? "" : ` --data ${dataDir}`}\n`,
		);
	});

cli
	.command("status")
	.description("show this server and its guests, asked of the running agent or read from its folders")
	.option(...data)
	.option("--json", "print JSON")
	.action(async (options: { data: string; json?: true }) => {
		const status = await readStatus(resolve(options.data));
		process.stdout.write(options.json ? `${JSON.stringify(status)}\n` : statusText(status, Date.now()));
	});

cli
	.command("version")
	.description("print the version")
	.action(() => {
		process.stdout.write(`${agentVersion}\n`);
	});

try {
	await cli.parseAsync();
} catch (thrown) {
	const error = asSternaError(thrown);
	process.stderr.write(`sterna-agent: ${error.message}\n${error.cure ? `  ${error.cure}\n` : ""}`);
	if (error.code === "internal") process.stderr.write(`${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
	process.exitCode = 1;
}

/** The given name, or the first label of the host name. @throws {SternaError} `invalid` when neither is a name. */
function serverName(given: string | undefined): string {
	const name = Name.safeParse(given ?? hostname().split(".")[0]?.toLowerCase());
	if (name.success) return name.data;
	throw new SternaError(
		"invalid",
		`"${given ?? hostname()}" cannot be a server's name: ${name.error.issues[0]?.message}`,
		{
			cure: "give one: --name",
		},
	);
}

/** The file's text, once it has been found good. */
async function readConfigFile(path: string, dataDir: string): Promise<string> {
	const text = await readFile(path, "utf8").catch((cause: unknown) => {
		throw new SternaError("not_found", `the configuration ${path} cannot be read`, { cause });
	});
	completeConfig(parseJson(text), dataDir);
	return text;
}
