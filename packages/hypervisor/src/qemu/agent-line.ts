import { randomInt } from "node:crypto";
import { connect, type Socket } from "node:net";
import { SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { printable } from "@sterna/shared/names";
import { z } from "zod";

/** What is said to the agent; none takes arguments but the one that `sync` sends. */
export type AgentCommand = "guest-ping" | "guest-fsfreeze-freeze" | "guest-fsfreeze-thaw" | "guest-fsfreeze-status";

const Answer = z.union([
	z.object({ return: z.unknown() }),
	z.object({ error: z.object({ class: z.string(), desc: z.string() }) }),
]);

/** The guest is a stranger: what it sends is kept no further than this. Answers that are asked for have some hundred bytes. */
export const maxAnswerBytes = 1024 * 1024;
const connectMs = 2000;
/** Ends what the agent has half read, and begins what it answers (qemu-ga-ref, `guest-sync-delimited`). No JSON has it. */
const sentinel = 0xff;

/**
 * One conversation with the agent in a guest (QEMU, docs/interop/qemu-ga-ref): a line of JSON each way. After any error
 * it is over.
 */
export class AgentLine {
	readonly #socket: Socket;
	readonly #owner: string;
	#heard = Buffer.alloc(0);
	#ended: SternaError | null = null;
	#wake: () => void = () => undefined;

	/** @throws {SternaError} `unavailable` when the guest's process has no such line, `timeout` when somebody else has it. */
	static async open(path: string, owner: string): Promise<AgentLine> {
		const socket = connect(path);
		const line = new AgentLine(socket, owner);
		await line.#within(connectMs, "be reached", () => (socket.readyState === "open" ? true : undefined));
		return line;
	}

	private constructor(socket: Socket, owner: string) {
		this.#socket = socket;
		this.#owner = owner;
		socket.on("connect", () => this.#wake());
		socket.on("data", (chunk: Buffer) => this.#take(chunk));
		socket.on("error", (cause) => this.#end("unavailable", "the line to it is closed", cause));
		socket.on("close", () => this.#end("unavailable", "the line to it is closed"));
	}

	/** Throws away what was said before, to whomever, and makes sure that the agent answers. */
	async sync(timeoutMs: number): Promise<void> {
		const id = randomInt(2 ** 31);
		const request = JSON.stringify({ execute: "guest-sync-delimited", arguments: { id } });
		this.#socket.write(Buffer.concat([Buffer.of(sentinel), Buffer.from(`${request}\n`)]));
		await this.#within(timeoutMs, "answer", () => {
			// An answer to an earlier question may stand between two of them.
			for (let at = this.#heard.indexOf(sentinel); at !== -1; at = this.#heard.indexOf(sentinel)) {
				const end = this.#heard.indexOf("\n", at);
				if (end === -1) return undefined;
				const text = this.#heard.subarray(at + 1, end).toString();
				this.#heard = this.#heard.subarray(end + 1);
				const answer = Answer.safeParse(readJson(text));
				if (answer.success && "return" in answer.data && answer.data.return === id) return true;
			}
			return undefined;
		});
	}

	/** What the agent returns. @throws {SternaError} `timeout`, `unavailable`, `invalid`, `wrong_state` when it refuses. */
	async execute(command: AgentCommand, timeoutMs: number): Promise<unknown> {
		this.#socket.write(`${JSON.stringify({ execute: command })}\n`);
		const text = await this.#within(timeoutMs, `answer ${command}`, () => {
			const end = this.#heard.indexOf("\n");
			if (end === -1) return undefined;
			const text = this.#heard.subarray(0, end).toString();
			this.#heard = this.#heard.subarray(end + 1);
			return text;
		});
		const answer = Answer.safeParse(readJson(text));
		if (!answer.success) throw this.#end("invalid", `it answered ${command} with something that is no answer`);
		if ("error" in answer.data) {
			throw new SternaError(
				"wrong_state",
				`the agent in ${this.#owner} refused ${command}: ${printable(answer.data.error.desc, 300)}`,
			);
		}
		return answer.data.return;
	}

	close(): void {
		this.#socket.destroy();
	}

	#take(chunk: Buffer): void {
		if (this.#heard.length + chunk.length > maxAnswerBytes) {
			this.#end("invalid", `it sent more than ${maxAnswerBytes} bytes`);
			return;
		}
		this.#heard = Buffer.concat([this.#heard, chunk]);
		this.#wake();
	}

	#end(code: "unavailable" | "invalid", why: string, cause?: unknown): SternaError {
		this.#ended ??= new SternaError(code, `the agent in ${this.#owner} cannot be asked: ${why}`, { cause });
		this.#socket.destroy();
		this.#wake();
		return this.#ended;
	}

	/** Looks again whenever something happened, until there is a value. */
	async #within<Value>(timeoutMs: number, what: string, look: () => Value | undefined): Promise<Value> {
		const deadline = performance.now() + timeoutMs;
		for (;;) {
			const value = look();
			if (value !== undefined) return value;
			if (this.#ended) throw this.#ended;
			const leftMs = deadline - performance.now();
			if (leftMs <= 0) {
				this.#socket.destroy();
				throw new SternaError("timeout", `the agent in ${this.#owner} did not ${what} within ${timeoutMs} ms`);
			}
			await new Promise<void>((fulfil) => {
				const timer = setTimeout(fulfil, leftMs);
				this.#wake = () => {
					clearTimeout(timer);
					fulfil();
				};
			});
		}
	}
}

function readJson(text: string): unknown {
	try {
		return parseJson(text);
	} catch {
		return undefined;
	}
}
