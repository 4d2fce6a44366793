import { connect } from "node:net";
import { SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";

export const DemoAction = z.enum(["memoryErrors", "failingDisk", "killAgent", "cutNetwork", "heal"]);
export type DemoAction = z.infer<typeof DemoAction>;

const Answer = z.object({ ok: z.boolean(), message: z.string().max(2000).optional() });
const answerTimeoutMs = 30_000;

/**
 * Asks the demo to break something: one JSON line over its unix socket, one back.
 * @throws {SternaError} `unavailable` with the demo's words.
 */
export function breakSomething(
	socketPath: string,
	request: { action: DemoAction; host: string } | { action: "damageRepository"; repositoryId: string },
): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = connect(socketPath);
		let text = "";
		const fail = (message: string, cause?: unknown) => {
			socket.destroy();
			reject(new SternaError("unavailable", message, { cure: "is ./sterna demo still running?", cause }));
		};
		socket.setTimeout(answerTimeoutMs, () => fail("the demo did not answer"));
		socket.on("error", (cause) => fail("the demo cannot be reached", cause));
		socket.on("data", (chunk) => {
			text += chunk.toString();
			if (text.length > 10_000) fail("the demo answered too much");
		});
		socket.on("end", () => {
			try {
				const answer = Answer.parse(parseJson(text));
				if (answer.ok) resolve();
				else fail(answer.message ?? "the demo could not do that");
			} catch (cause) {
				fail("the demo's answer cannot be read", cause);
			}
		});
		socket.write(`${JSON.stringify(request)}\n`);
	});
}
