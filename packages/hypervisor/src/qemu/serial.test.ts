import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../testing/site.ts";
import { maxSerialLogBytes, SerialLine } from "./serial.ts";

let folder: string;
let server: Server;
let line: SerialLine;

beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "serial-"));
});
afterEach(async () => {
	line.close();
	server.close();
	await rm(folder, { recursive: true, force: true });
});

async function open(
	onConnection: (write: (data: string) => void, onData: (listener: (data: Buffer) => void) => void) => void,
) {
	server = createServer((socket) => {
		socket.on("error", () => undefined);
		onConnection(
			(data) => socket.write(data),
			(listener) => socket.on("data", listener),
		);
	});
	await new Promise<void>((fulfil) => server.listen(join(folder, "serial"), fulfil));
	line = new SerialLine(join(folder, "serial"), join(folder, "serial.log"));
}

test("a log that has grown beyond 8 MiB is begun anew while the guest prints on", async () => {
	await writeFile(join(folder, "serial.log"), Buffer.alloc(maxSerialLogBytes + 1));
	await open((write) => write("x".repeat(1024)));
	await until(async () => (await stat(join(folder, "serial.log"))).size === 0, "the log is cut");
});

test("a log below that is kept", async () => {
	await writeFile(join(folder, "serial.log"), Buffer.alloc(maxSerialLogBytes));
	const heard: string[] = [];
	await open((write, onData) => {
		write("x".repeat(3 * 1024 * 1024));
		onData((data) => heard.push(data.toString()));
	});
	await line.write(Buffer.from("hello"));
	await until(async () => heard.join("") === "hello", "the guest hears");
	expect((await stat(join(folder, "serial.log"))).size).toBe(maxSerialLogBytes);
});

test("writing to a guest whose process is gone is unavailable", async () => {
	await open(() => undefined);
	line.close();
	await expect(line.write(Buffer.from("x"))).rejects.toMatchObject({ code: "unavailable" });
});
