import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openSourceTransfer } from "./streams.ts";
import { closed, hashOf, TransferScene } from "./testing/transfer-scene.ts";

let scene: TransferScene;
beforeAll(async () => {
	scene = await TransferScene.open();
});
afterEach(() => scene.clear());
afterAll(() => scene.close());

test("100 MiB of memory and the disk's bytes arrive identical in both directions, and the transfer ends cleanly", async () => {
	const { target, memory, disk } = await scene.openTarget();
	const source = await scene.openSource(target);
	const [sendMemory, sendDisk] = [
		scene.qemuConnects(source.memorySocket),
		scene.qemuConnects(source.disks[0]?.socket ?? ""),
	];
	const content = randomBytes(100 * 1024 * 1024);
	const answer = randomBytes(3 * 1024 * 1024);

	sendMemory.end(content);
	sendDisk.end(answer);
	const [memoryArrived, diskArrived] = await Promise.all([memory.next().then(hashOf), disk.next().then(hashOf)]);
	memory.connections[0]?.end(answer);
	disk.connections[0]?.end();
	const answered = await hashOf(sendMemory);
	await hashOf(sendDisk);

	const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");
	expect(memoryArrived).toEqual({ bytes: content.length, sha256: sha256(content) });
	expect(diskArrived).toEqual({ bytes: answer.length, sha256: sha256(answer) });
	expect(answered).toEqual({ bytes: answer.length, sha256: sha256(answer) });
	expect(await Promise.all([source.ended, target.ended])).toEqual([null, null]);
	expect(source.bytes().memory).toEqual({ sentBytes: content.length, receivedBytes: answer.length });
	expect(target.bytes().memory).toEqual({ sentBytes: answer.length, receivedBytes: content.length });
	expect(existsSync(source.memorySocket)).toBe(false);
});

test("only its owner may reach the sockets on the sending side", async () => {
	const { target } = await scene.openTarget();
	const source = await scene.openSource(target);
	expect((await stat(join(source.memorySocket, ".."))).mode & 0o777).toBe(0o700);
	expect((await stat(source.memorySocket)).mode & 0o777).toBe(0o600);
});

test("the port is closed once every ticket is used, while the streams go on", async () => {
	const { target, memory } = await scene.openTarget();
	const source = await scene.openSource(target);
	expect(await scene.refusesConnections(target.port)).toBe(true);
	scene.qemuConnects(source.memorySocket).end("still here");
	expect((await hashOf(await memory.next())).bytes).toBe(10);
});

test("the port is closed after a transfer that was destroyed", async () => {
	const { target } = await scene.openTarget();
	expect(await scene.refusesConnections(target.port)).toBe(false);
	await target.destroy();
	expect(await scene.refusesConnections(target.port)).toBe(true);
	expect(await target.ended).toBeNull();
});

test("a transfer that is destroyed on one side ends the unix sockets of both", async () => {
	const { target, memory } = await scene.openTarget();
	const source = await scene.openSource(target);
	const sender = scene.qemuConnects(source.memorySocket);
	sender.write(randomBytes(1024 * 1024));
	const receiver = await memory.next();
	const bothClosed = Promise.all([closed(sender), closed(receiver)]);
	await source.destroy();
	await bothClosed;
	expect(await target.ended).toMatchObject({ code: "unavailable" });
});

test("a path that no unix socket can have is refused with the reason", async () => {
	const { target } = await scene.openTarget();
	const source = openSourceTransfer(scene.sourceOptions(target, join(scene.folder, "x".repeat(100))));
	await expect(source).rejects.toMatchObject({ code: "invalid" });
});

test("a transfer ends also when the folder of its sockets cannot be removed, and says so as often as it is asked", async () => {
	const { target } = await scene.openTarget();
	const place = join(scene.folder, "replaced");
	const source = await scene.openSource(target, { place });
	// No folder any more: whatever is looked for below it is an error, not merely absent.
	await rm(place, { recursive: true });
	await writeFile(place, "");
	await source.destroy();
	await source.destroy();
	expect(await source.ended).toBeNull();
});
