import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { SerialLine } from "./serial.ts";

test("input for a guest that does not read is refused before it fills the agent's memory", async () => {
	const folder = mkdtempSync(join(tmpdir(), "serial-"));
	const socketPath = join(folder, "s");
	const guest = createServer({ pauseOnConnect: true });
	await new Promise<void>((listening) => guest.listen(socketPath, listening));
	const line = new SerialLine(socketPath, join(folder, "log"));
	onTestFinished(() => {
		line.close();
		guest.close();
		rmSync(folder, { recursive: true });
	});
	const typed = Array.from({ length: 200 }, () => line.write(new Uint8Array(16 * 1024)));
	const outcomes = Promise.allSettled(typed);
	await expect(typed.at(-1)).rejects.toMatchObject({
		code: "unavailable",
		message: expect.stringContaining("dropped"),
	});
	line.close();
	await outcomes;
});
