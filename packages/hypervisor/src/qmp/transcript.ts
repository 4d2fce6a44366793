import { createServer, type Server, type Socket } from "node:net";

/** What a scripted monitor does, step by step. */
export type Step =
	/** Sends a message, as QEMU would: one line. */
	| { say: object }
	/** Sends bytes as they are: half a message, or none at all. */
	| { raw: string | Buffer }
	/** Waits for a command of that name; answers it with `answer` or `error`, or not at all. */
	| { hear: string; answer?: unknown; error?: { class: string; desc: string } }
	| { hangUp: true };

export const greeting: Step = {
	say: { QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 }, package: "" }, capabilities: ["oob"] } },
};
export const negotiated: Step[] = [greeting, { hear: "qmp_capabilities", answer: {} }];

export function event(name: string, data?: object): Step {
	return {
		say: { event: name, timestamp: { seconds: 1_700_000_000, microseconds: 250_000 }, ...(data ? { data } : {}) },
	};
}

interface Heard {
	verb: string;
	name: string;
	arguments: unknown;
}

/** A monitor that plays a script to each client that connects, and remembers what it heard. */
export class ScriptedMonitor {
	readonly heard: Heard[] = [];
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();

	static async play(path: string, script: readonly Step[]): Promise<ScriptedMonitor> {
		const monitor = new ScriptedMonitor(script);
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		monitor.#server.once("error", reject).listen(path, resolve);
		await promise;
		return monitor;
	}

	private constructor(script: readonly Step[]) {
		this.#server = createServer((socket) => {
			this.#sockets.add(socket);
			socket.on("error", () => undefined);
			this.#perform(socket, [...script]);
		});
	}

	close(): void {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
	}

	#perform(socket: Socket, script: Step[]): void {
		const send = (message: object) => socket.write(`${JSON.stringify(message)}\r\n`);
		/** Runs up to the next command that the script waits for. */
		const advance = () => {
			for (let step = script[0]; step && !("hear" in step); step = script[0]) {
				script.shift();
				if ("say" in step) send(step.say);
				else if ("raw" in step) socket.write(step.raw);
				else socket.end();
			}
		};
		let text = "";
		socket.setEncoding("utf8").on("data", (chunk: string) => {
			text += chunk;
			for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n")) {
				const { id, arguments: args, ...verbs } = JSON.parse(text.slice(0, end));
				text = text.slice(end + 1);
				const [verb = "", name = ""] = Object.entries(verbs).map(([key, value]) => [key, String(value)])[0] ?? [];
				this.heard.push({ verb, name, arguments: args });
				const step = script[0];
				if (!step || !("hear" in step) || step.hear !== name) continue;
				script.shift();
				if (step.error) send({ id, error: step.error });
				else if ("answer" in step) send({ id, return: step.answer });
				advance();
			}
		});
		advance();
	}
}
