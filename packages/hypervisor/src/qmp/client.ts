import { connect, type Socket } from "node:net";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { printable } from "@sterna/shared/names";
import { z } from "zod";
import { FrameReader } from "./frames.ts";
import {
	type CommandArguments,
	type CommandName,
	type CommandReturns,
	commandReturns,
	eventNames,
	QmpEvent,
} from "./generated/schema.ts";

const Greeting = z.object({
	QMP: z.object({
		version: z.object({ qemu: z.object({ major: z.int(), minor: z.int(), micro: z.int() }) }),
		capabilities: z.array(z.string()),
	}),
});
const Answer = z.union([
	z.object({ id: z.int(), return: z.unknown() }),
	z.object({ id: z.int().optional(), error: z.object({ class: z.string(), desc: z.string() }) }),
]);
const AnyEvent = z.object({ event: z.string() });

/** A guest can make QEMU send events (disk errors, resets). More than this in a second is an attack or a broken device. */
const maxEventsPerSecond = 2000;

export interface QmpConnectOptions {
	/** Named in errors: the guest. */
	owner: string;
	/** The monitor serves one client at a time; the next one gets no greeting until the first has left. */
	greetingTimeoutMs?: number;
}

export interface ExecuteOptions {
	timeoutMs?: number;
}

export interface WaitOptions {
	timeoutMs: number;
	/** Completes the sentence "… did not …": `pause for the switchover`. */
	reason: string;
	signal?: AbortSignal;
}

/** Something that is awaited from the moment this object exists, so that an early event is not missed. */
export interface Waiting<Value> {
	readonly value: Promise<Value>;
	stop(): void;
}

interface Pending {
	settle(answer: z.infer<typeof Answer>): void;
	fail(error: SternaError): void;
}

/**
 * A connection to one QEMU monitor (QMP, docs/interop/qmp-spec of QEMU) with out-of-band execution enabled.
 *
 * Errors: `unavailable` when the connection is or gets lost (every waiter hears it), `timeout` when the monitor is
 * silent, `wrong_state` when QEMU refuses a command, `invalid` when it speaks no QMP (the connection is ended).
 */
export class QmpClient {
	readonly version: { major: number; minor: number; micro: number };
	readonly #socket: Socket;
	readonly #owner: string;
	readonly #pending = new Map<number, Pending>();
	readonly #listeners = new Set<(event: QmpEvent) => void>();
	readonly #closeListeners = new Set<(reason: SternaError) => void>();
	readonly #frames: FrameReader;
	#nextId = 1;
	#closed: SternaError | null = null;
	#events = { second: 0, count: 0 };

	/** Connects, waits for the greeting and negotiates. Throws `unavailable`, `timeout`, `invalid`. */
	static async connect(path: string, options: QmpConnectOptions): Promise<QmpClient> {
		const { owner, greetingTimeoutMs = 5000 } = options;
		const socket = connect(path);
		const frames = new FrameReader();
		try {
			const { greeting, rest } = await readGreeting(socket, frames, owner, greetingTimeoutMs);
			const client = new QmpClient(socket, frames, owner, greeting.QMP.version.qemu);
			const enable: "oob"[] = greeting.QMP.capabilities.includes("oob") ? ["oob"] : [];
			for (const message of rest) client.#take(message);
			await client.execute("qmp_capabilities", { enable }, { timeoutMs: greetingTimeoutMs });
			return client;
		} catch (error) {
			socket.destroy();
			throw error;
		}
	}

	private constructor(socket: Socket, frames: FrameReader, owner: string, version: QmpClient["version"]) {
		this.#socket = socket;
		this.#frames = frames;
		this.#owner = owner;
		this.version = version;
		socket.on("data", (chunk: Buffer) => {
			try {
				for (const message of this.#frames.read(chunk)) this.#take(message);
			} catch (error) {
				this.#end(asSternaError(error));
			}
		});
		socket.on("error", (cause) => this.#end(this.#lost(cause)));
		socket.on("close", () => this.#end(this.#lost()));
	}

	/** Why the connection is no more; null while it is. */
	get closed(): SternaError | null {
		return this.#closed;
	}

	/** Runs a command when the monitor gets to it. Throws `timeout` after `timeoutMs` (2 s unless told). */
	execute<Name extends CommandName>(
		name: Name,
		args: CommandArguments[Name],
		options: ExecuteOptions = {},
	): Promise<CommandReturns[Name]> {
		return this.#send("execute", name, args, options.timeoutMs ?? 2000);
	}

	/** Runs `yank` beside whatever the monitor hangs in (docs/interop/qmp-spec, "Out-of-band execution"). */
	yank(instances: CommandArguments["yank"]["instances"]): Promise<unknown> {
		return this.#send("exec-oob", "yank", { instances }, 2000);
	}

	onEvent(listener: (event: QmpEvent) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Calls the listener once, at the end of the connection, whoever ended it. */
	onClose(listener: (reason: SternaError) => void): void {
		if (this.#closed) listener(this.#closed);
		else this.#closeListeners.add(listener);
	}

	/**
	 * Waits for the first event for which `match` gives a value. Open it before the command that causes the event.
	 * The value rejects with `timeout`, `cancelled`, `unavailable`, or what `match` throws.
	 */
	waitFor<Value>(match: (event: QmpEvent) => Value | undefined, options: WaitOptions): Waiting<Value> {
		const { promise, resolve, reject } = Promise.withResolvers<Value>();
		const stop = () => {
			clearTimeout(timer);
			this.#listeners.delete(listener);
			this.#closeListeners.delete(fail);
			options.signal?.removeEventListener("abort", onAbort);
		};
		const fail = (error: SternaError) => {
			stop();
			reject(error);
		};
		const listener = (event: QmpEvent) => {
			try {
				const value = match(event);
				if (value === undefined) return;
				stop();
				resolve(value);
			} catch (error) {
				fail(asSternaError(error));
			}
		};
		const onAbort = () =>
			fail(new SternaError("cancelled", `${this.#owner}: waiting to ${options.reason} was cancelled`));
		const timer = setTimeout(
			() => fail(new SternaError("timeout", `${this.#owner} did not ${options.reason} within ${options.timeoutMs} ms`)),
			options.timeoutMs,
		);
		// Who opens a wait and then fails in the command before it never looks at this promise.
		promise.catch(() => undefined);
		this.#listeners.add(listener);
		if (this.#closed) fail(this.#closed);
		else this.#closeListeners.add(fail);
		if (options.signal?.aborted) onAbort();
		else options.signal?.addEventListener("abort", onAbort);
		return { value: promise, stop };
	}

	close(): void {
		this.#end(new SternaError("unavailable", `the connection to the monitor of ${this.#owner} was closed here`));
	}

	async #send<Name extends CommandName>(
		verb: "execute" | "exec-oob",
		name: Name,
		args: CommandArguments[Name],
		timeoutMs: number,
	): Promise<CommandReturns[Name]> {
		if (this.#closed) throw this.#closed;
		const id = this.#nextId++;
		const answer = new Promise<z.infer<typeof Answer>>((settle, fail) => {
			this.#pending.set(id, { settle, fail });
		});
		const timer = setTimeout(() => {
			const silence = `the monitor of ${this.#owner} did not answer ${name} within ${timeoutMs} ms`;
			this.#pending.get(id)?.fail(new SternaError("timeout", silence));
		}, timeoutMs);
		try {
			this.#socket.write(`${JSON.stringify({ [verb]: name, arguments: args, id })}\n`);
			const result = await answer;
			if ("error" in result) throw refusal(this.#owner, name, result.error);
			const parsed = commandReturns[name].safeParse(result.return);
			if (!parsed.success) {
				const message = `the monitor of ${this.#owner} answered ${name} with something else than its schema says`;
				throw new SternaError("invalid", message, { cause: parsed.error });
			}
			return parsed.data;
		} finally {
			clearTimeout(timer);
			this.#pending.delete(id);
		}
	}

	#take(message: unknown): void {
		const event = AnyEvent.safeParse(message);
		if (event.success) {
			this.#takeEvent(event.data.event, message);
			return;
		}
		const answer = Answer.safeParse(message);
		if (!answer.success) throw new SternaError("invalid", `the monitor of ${this.#owner} sent what is no QMP message`);
		// Without id: an answer to what QEMU could not even parse. Ours always parse, so nobody waits for it.
		// With an unknown id: an answer that came after its deadline.
		if (answer.data.id !== undefined) this.#pending.get(answer.data.id)?.settle(answer.data);
	}

	#takeEvent(name: string, message: unknown): void {
		const second = Math.floor(Date.now() / 1000);
		this.#events = this.#events.second === second ? { second, count: this.#events.count + 1 } : { second, count: 1 };
		if (this.#events.count > maxEventsPerSecond) {
			const flood = `the monitor of ${this.#owner} sent more than ${maxEventsPerSecond} events in a second`;
			throw new SternaError("invalid", flood);
		}
		if (!eventNames.has(name)) return;
		const event = QmpEvent.safeParse(message);
		if (!event.success) {
			throw new SternaError(
				"invalid",
				`the monitor of ${this.#owner} sent an event ${name} that its schema does not know`,
			);
		}
		for (const listener of [...this.#listeners]) listener(event.data);
	}

	#lost(cause?: unknown): SternaError {
		return new SternaError("unavailable", `the connection to the monitor of ${this.#owner} is lost`, { cause });
	}

	#end(reason: SternaError): void {
		if (this.#closed) return;
		this.#closed = reason;
		this.#socket.destroy();
		for (const pending of [...this.#pending.values()])
			pending.fail(reason.code === "invalid" ? reason : this.#lost(reason));
		for (const listener of [...this.#closeListeners]) listener(reason);
		this.#listeners.clear();
	}
}

/** Milliseconds since 1970 at which QEMU saw the event, by this host's clock. */
export function eventTimeMs(event: QmpEvent): number {
	return event.timestamp.seconds * 1000 + Math.round(event.timestamp.microseconds / 1000);
}

function refusal(owner: string, command: string, error: { class: string; desc: string }): SternaError {
	const code =
		error.class === "DeviceNotFound" ? "not_found" : error.class === "CommandNotFound" ? "incompatible" : "wrong_state";
	return new SternaError(code, `QEMU refused ${command} for ${owner}: ${printable(error.desc)}`);
}

async function readGreeting(
	socket: Socket,
	frames: FrameReader,
	owner: string,
	timeoutMs: number,
): Promise<{ greeting: z.infer<typeof Greeting>; rest: unknown[] }> {
	const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
	const onData = (chunk: Buffer) => {
		try {
			const messages = frames.read(chunk);
			if (messages.length > 0) resolve(messages);
		} catch (error) {
			reject(asSternaError(error));
		}
	};
	const onEnd = (cause?: unknown) =>
		reject(new SternaError("unavailable", `the monitor of ${owner} cannot be reached`, { cause }));
	const timer = setTimeout(
		() => reject(new SternaError("timeout", `the monitor of ${owner} sent no greeting within ${timeoutMs} ms`)),
		timeoutMs,
	);
	socket.on("data", onData).on("error", onEnd).on("close", onEnd);
	try {
		const [first, ...rest] = await promise;
		const greeting = Greeting.safeParse(first);
		if (!greeting.success) throw new SternaError("invalid", `what answers for ${owner} is no QMP monitor`);
		return { greeting: greeting.data, rest };
	} finally {
		clearTimeout(timer);
		socket.off("data", onData).off("close", onEnd);
		// An error after the promise is settled must not end the program; the client adds its own listener.
		if (!socket.destroyed) socket.off("error", onEnd);
	}
}
