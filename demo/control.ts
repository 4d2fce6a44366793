import { rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { z } from "zod";

/** What the Overview's "break something" asks of the demo: one JSON line in, one out. */
export const BreakRequest = z.union([
	z.strictObject({
		action: z.enum(["memoryErrors", "failingDisk", "killAgent", "cutNetwork", "heal"]),
		/** Name of the demo's server. */
		host: z.string().max(63),
	}),
	/** The demo has one folder for backups, and so one repository. */
	z.strictObject({ action: z.literal("damageRepository"), repositoryId: z.uuid() }),
]);
export type BreakRequest = z.infer<typeof BreakRequest>;

/** Serves break requests on a unix socket that only this user can open. */
export function serveControl(socketPath: string, act: (request: BreakRequest) => Promise<void>): Promise<Server> {
	rmSync(socketPath, { force: true });
	const server = createServer((socket) => {
		socket.on("error", () => socket.destroy());
		createInterface({ input: socket }).on("line", async (line) => {
			try {
				await act(BreakRequest.parse(JSON.parse(line)));
				socket.end(`${JSON.stringify({ ok: true })}\n`);
			} catch (error) {
				const message = error instanceof Error ? error.message : "the demo could not do that";
				socket.end(`${JSON.stringify({ ok: false, message })}\n`);
			}
		});
	});
	return new Promise((resolve, reject) => {
		const before = process.umask(0o077);
		server.once("error", reject);
		server.listen(socketPath, () => resolve(server));
		process.umask(before);
	});
}
