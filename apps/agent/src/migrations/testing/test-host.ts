import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { HostId } from "@sterna/shared/ids";
import type { AgentConfigInput } from "../../config.ts";
import type { TestConsole } from "../../fixtures/test-console.ts";
import { joinConsole } from "../../identity/join.ts";
import type { Point } from "../observe.ts";
import type { Order, Word } from "./agent-process.ts";

/** A host whose agent runs in a process of its own and can be killed and started again. */
export class TestHost {
	readonly dataDir: string;
	readonly hostId: HostId;
	readonly name: string;
	#process: ChildProcess | null = null;

	private constructor(options: { dataDir: string; hostId: HostId; name: string }) {
		this.dataDir = options.dataDir;
		this.hostId = options.hostId;
		this.name = options.name;
	}

	/** Joins the console; the folder must be there. */
	static async create(options: {
		dataDir: string;
		name: string;
		config: AgentConfigInput;
		console: TestConsole;
	}): Promise<TestHost> {
		const { dataDir, name, config } = options;
		await writeFile(join(dataDir, "config.json"), JSON.stringify(config));
		const { hostId } = await joinConsole({ dataDir, joinString: options.console.joinString(), name });
		return new TestHost({ dataDir, hostId, name });
	}

	/** Fulfilled when the agent serves. */
	async start(): Promise<void> {
		this.#process = fork(join(import.meta.dirname, "agent-process.ts"), [this.dataDir], {
			execArgv: [],
			stdio: ["ignore", "ignore", "pipe", "ipc"],
		});
		let errors = "";
		this.#process.stderr?.on("data", (chunk: Buffer) => {
			errors += chunk.toString();
		});
		await this.#word(
			(word) => word.is === "started",
			() => errors,
		);
	}

	/** `kill -9`; fulfilled when the process is gone. */
	async kill(): Promise<void> {
		await this.#end("SIGKILL");
	}

	/** Asks the agent to end, as a service manager does; fulfilled with its exit code. */
	stop(): Promise<number | null> {
		return this.#end("SIGTERM");
	}

	async #end(signal: NodeJS.Signals): Promise<number | null> {
		const process = this.#process;
		this.#process = null;
		if (!process || process.exitCode !== null || process.signalCode !== null) return process?.exitCode ?? null;
		const gone = once(process, "exit");
		process.kill(signal);
		await gone;
		return process.exitCode;
	}

	/** Makes the agent stand still when it gets there; the returned promise is fulfilled when it does. */
	async pauseAt(point: Point): Promise<{ reached: Promise<void> }> {
		const ordered = this.#word((word) => word.is === "ordered");
		this.#tell({ do: "pauseAt", point });
		await ordered;
		const reached = this.#word((word) => word.is === "paused" && word.point === point).then(() => {});
		reached.catch(() => {});
		return { reached };
	}

	goOn(): void {
		this.#tell({ do: "go" });
	}

	/** As when the leases of the guests that are arriving had run their time. */
	endLeases(): void {
		this.#tell({ do: "endLeases" });
	}

	/** The last lines of the agent's log, for a failed test. */
	async log(lines = 60): Promise<string> {
		const text = await readFile(join(this.dataDir, "agent.log"), "utf8").catch(() => "");
		return text.split("\n").slice(-lines).join("\n");
	}

	#tell(order: Order): void {
		this.#process?.send(order);
	}

	#word(matches: (word: Word) => boolean, errors: () => string = () => ""): Promise<Word> {
		const process = this.#process;
		if (!process) return Promise.reject(new Error(`the agent of ${this.name} is not running`));
		return new Promise((resolve, reject) => {
			const settle = () => {
				clearTimeout(timer);
				process.off("message", onWord);
				process.off("exit", onExit);
			};
			const onWord = (word: Word) => {
				if (!matches(word)) return;
				settle();
				resolve(word);
			};
			const onExit = () => {
				settle();
				reject(new Error(`the agent of ${this.name} ended: ${errors()}`));
			};
			const timer = setTimeout(() => {
				settle();
				reject(new Error(`the agent of ${this.name} did not say what was waited for within 60 s`));
			}, 60_000);
			process.on("message", onWord);
			process.on("exit", onExit);
		});
	}
}
