import { asSternaError, SternaError } from "../errors.ts";
import { parseJson } from "../json.ts";
import {
	type Audience,
	type CallName,
	type CommandName,
	commands,
	type Input,
	type Output,
	type ParsedInput,
	type StreamName,
} from "./commands.ts";
import { Message, maxFrameLength } from "./messages.ts";
import { negotiateVersion, spokenVersions } from "./version.ts";

/** One ordered, reliable connection that carries texts: a WebSocket, a TLS socket with lines, a unix socket. */
export interface Wire {
	send(text: string): void;
	close(reason: string): void;
	/** Fulfilled when more can be sent without piling up here, or when the wire is lost. Streams wait for it between items. */
	drained?(): Promise<void>;
}

/** Who is on the other side, as the transport proved it. */
export interface Caller {
	audience: Audience;
	/** Host id of a peer; null for the console and the local command line. */
	hostId: string | null;
}

/** A handler for every command; the compiler refuses an incomplete map. */
export type Handlers = {
	[Name in CallName]: (input: ParsedInput<Name>, caller: Caller, signal: AbortSignal) => Promise<Output<Name>>;
} & {
	[Name in StreamName]: (input: ParsedInput<Name>, caller: Caller, signal: AbortSignal) => AsyncIterable<Output<Name>>;
};

export interface EndpointOptions {
	wire: Wire;
	/** Name and version for the other side's log. */
	program: string;
	/** What this side serves; without, every call is refused. */
	handlers?: Handlers;
	caller?: Caller;
	connection?: number;
	/** Called once when the versions are agreed. */
	onOpen?: (hello: { program: string; connection: number | undefined }) => void;
	/** Frames this side could not understand, for the log. The connection is closed after. */
	onProtocolError?: (error: SternaError) => void;
	onHandlerError?: (command: string, error: unknown) => void;
}

interface Pending {
	command: CommandName;
	resolve(output: unknown): void;
	reject(error: SternaError): void;
	item?(output: unknown): void;
}

const maxServedAtOnce = 500;

/**
 * One end of a connection. Both ends are the same: either may serve, either may call.
 * When the wire is lost every waiting call ends with `unavailable`, and every served call is aborted.
 */
export class Endpoint {
	readonly #options: EndpointOptions;
	readonly #pending = new Map<number, Pending>();
	readonly #served = new Map<number, AbortController>();
	#nextId = 1;
	#version: number | null = null;
	#closed: SternaError | null = null;

	constructor(options: EndpointOptions) {
		this.#options = options;
		const { connection } = options;
		this.#send({
			type: "hello",
			versions: [...spokenVersions],
			program: options.program,
			...(connection === undefined ? {} : { connection }),
		});
	}

	/** The agreed protocol version; null before the other side's hello. */
	get version(): number | null {
		return this.#version;
	}

	/**
	 * Calls a command and waits for its answer.
	 * @throws {SternaError} what the other side answered; `timeout` after `timeoutMs`; `unavailable` when the connection is lost.
	 */
	call<Name extends CallName>(
		command: Name,
		input: Input<Name>,
		options: { timeoutMs?: number; signal?: AbortSignal } = {},
	): Promise<Output<Name>> {
		const { timeoutMs = 15_000, signal } = options;
		return new Promise((resolve, reject) => {
			const id = this.#nextId++;
			const fail = (error: SternaError) => {
				this.#send({ type: "cancel", id });
				settle();
				reject(error);
			};
			const timer = setTimeout(
				() => fail(new SternaError("timeout", `${command} was not answered within ${timeoutMs} ms`)),
				timeoutMs,
			);
			const onAbort = () => fail(new SternaError("cancelled", `${command} was cancelled`));
			const settle = () => {
				clearTimeout(timer);
				signal?.removeEventListener("abort", onAbort);
				this.#pending.delete(id);
			};
			this.#pending.set(id, {
				command,
				resolve: (output) => {
					settle();
					resolve(output as Output<Name>);
				},
				reject: (error) => {
					settle();
					reject(error);
				},
			});
			signal?.addEventListener("abort", onAbort, { once: true });
			if (this.#closed) return this.#pending.get(id)?.reject(this.#closed);
			if (signal?.aborted) return onAbort();
			this.#send({ type: "call", id, command, input });
		});
	}

	/** Opens a stream; `onItem` gets each item. Resolves when the other side ends it or `signal` aborts; rejects when it fails. */
	stream<Name extends StreamName>(
		command: Name,
		input: Input<Name>,
		onItem: (item: Output<Name>) => void,
		signal: AbortSignal,
	): Promise<void> {
		return new Promise((resolve, reject) => {
			if (this.#closed) return reject(this.#closed);
			const id = this.#nextId++;
			const settle = () => {
				signal.removeEventListener("abort", onAbort);
				this.#pending.delete(id);
			};
			const onAbort = () => {
				this.#send({ type: "cancel", id });
				settle();
				resolve();
			};
			this.#pending.set(id, {
				command,
				resolve: () => {
					settle();
					resolve();
				},
				reject: (error) => {
					settle();
					reject(error);
				},
				item: (output) => onItem(output as Output<Name>),
			});
			signal.addEventListener("abort", onAbort, { once: true });
			if (signal.aborted) return onAbort();
			this.#send({ type: "call", id, command, input });
		});
	}

	/** Feed every text that arrives on the wire here. */
	receive(text: string): void {
		if (this.#closed) return;
		try {
			const message = Message.parse(parseJson(text, { maxLength: maxFrameLength, maxDepth: 32 }));
			if (this.#version === null && message.type !== "hello") {
				throw new SternaError("invalid", "the first frame was not a hello");
			}
			this.#handle(message);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#options.onProtocolError?.(error);
			this.#options.wire.close(error.message.slice(0, 120));
			this.closed("the other side broke the protocol");
		}
	}

	/** Call when the wire is lost or closed. */
	closed(reason: string): void {
		if (this.#closed) return;
		this.#closed = new SternaError("unavailable", `the connection was lost: ${reason}`);
		for (const pending of [...this.#pending.values()]) pending.reject(this.#closed);
		for (const abort of this.#served.values()) abort.abort();
		this.#served.clear();
	}

	#handle(message: Message): void {
		switch (message.type) {
			case "hello": {
				if (this.#version !== null) throw new SternaError("invalid", "a second hello arrived");
				this.#version = negotiateVersion(spokenVersions, message.versions);
				this.#options.onOpen?.({ program: message.program, connection: message.connection });
				return;
			}
			case "call":
				void this.#serve(message.id, message.command, message.input);
				return;
			case "result":
			case "item": {
				const pending = this.#pending.get(message.id);
				if (!pending) return;
				const parsed = commands[pending.command].output.safeParse(message.output);
				if (!parsed.success) {
					pending.reject(
						new SternaError("incompatible", `the answer to ${pending.command} has another form than expected`, {
							cause: parsed.error,
						}),
					);
				} else if (message.type === "item") pending.item?.(parsed.data);
				else pending.resolve(parsed.data);
				return;
			}
			case "error":
				this.#pending.get(message.id)?.reject(SternaError.fromWire(message.error));
				return;
			case "end":
				this.#pending.get(message.id)?.resolve(undefined);
				return;
			case "cancel":
				this.#served.get(message.id)?.abort();
				return;
		}
	}

	async #serve(id: number, command: string, input: unknown): Promise<void> {
		const abort = new AbortController();
		try {
			if (this.#served.has(id)) throw new SternaError("invalid", `call ${id} is already under way`);
			if (this.#served.size >= maxServedAtOnce) throw new SternaError("unavailable", "too many calls at once");
			this.#served.set(id, abort);
			const { handlers, caller } = this.#options;
			if (!handlers || !caller || !isCommand(command))
				throw new SternaError("not_found", `there is no command "${command}"`);
			const { audience, input: schema } = commands[command];
			if (!(audience as readonly Audience[]).includes(caller.audience)) {
				throw new SternaError("forbidden", `${command} is not for the ${caller.audience}`);
			}
			const run = handlers[command] as (
				input: unknown,
				caller: Caller,
				signal: AbortSignal,
			) => Promise<unknown> | AsyncIterable<unknown>;
			const outcome = run(schema.parse(input), caller, abort.signal);
			if ("stream" in commands[command]) {
				for await (const output of outcome as AsyncIterable<unknown>) {
					if (abort.signal.aborted) return;
					this.#send({ type: "item", id, output });
					await this.#options.wire.drained?.();
				}
				this.#send({ type: "end", id });
			} else {
				this.#send({ type: "result", id, output: await outcome });
			}
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (error.code === "internal") this.#options.onHandlerError?.(command, thrown);
			this.#send({ type: "error", id, error: error.toWire() });
		} finally {
			if (this.#served.get(id) === abort) this.#served.delete(id);
		}
	}

	#send(message: Message): void {
		if (!this.#closed) this.#options.wire.send(JSON.stringify(message));
	}
}

function isCommand(name: string): name is CommandName {
	return Object.hasOwn(commands, name);
}
