import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { frameHeader } from "./frame.ts";
import { openSourceTransfer } from "./streams.ts";
import { closed, sendTicket, TransferScene } from "./testing/transfer-scene.ts";

let scene: TransferScene;
beforeAll(async () => {
	scene = await TransferScene.open();
});
afterEach(() => scene.clear());
afterAll(() => scene.close());

test("a wrong ticket is turned away and nothing reaches QEMU", async () => {
	const { target, memory, disk, refused } = await scene.openTarget();
	const tls = await scene.dialRaw(target.port, "source");
	sendTicket(tls, randomBytes(32).toString("base64url"));
	tls.write(frameHeader("open"));
	await closed(tls);
	expect(await refused).toContain("not one of this transfer");
	expect([...memory.connections, ...disk.connections]).toEqual([]);
});

test("a ticket opens its stream only once", async () => {
	const { target, memory, refused } = await scene.openTarget();
	sendTicket(await scene.dialRaw(target.port, "source"), target.memoryTicket);
	const second = await scene.dialRaw(target.port, "source");
	sendTicket(second, target.memoryTicket);
	second.write(frameHeader("open"));
	await closed(second);
	expect(await refused).toContain("used before");
	expect(memory.connections).toEqual([]);
});

test("a ticket that comes too late finds no port", async () => {
	const { target, memory } = await scene.openTarget({ ticketLifetimeMs: 50 });
	const early = await scene.dialRaw(target.port, "source").catch(() => null);
	await new Promise<void>((resolve) => {
		const poll = setInterval(async () => {
			if (!(await scene.refusesConnections(target.port))) return;
			clearInterval(poll);
			resolve();
		}, 10);
	});
	if (early) {
		sendTicket(early, target.memoryTicket);
		early.write(frameHeader("open"));
		await closed(early);
	}
	await expect(scene.dialRaw(target.port, "source")).rejects.toThrow(/ECONNREFUSED/);
	expect(memory.connections).toEqual([]);
});

test("another host of the same console is turned away, even with a good ticket", async () => {
	const { target, memory, refused } = await scene.openTarget();
	const tls = await scene.dialRaw(target.port, "stranger");
	sendTicket(tls, target.memoryTicket);
	tls.write(frameHeader("open"));
	await closed(tls);
	expect(await refused).toContain(scene.strangerId);
	expect(memory.connections).toEqual([]);
});

test("a certificate of another console is turned away, even with the right host id and ticket", async () => {
	const { target, memory, refused } = await scene.openTarget();
	const tls = await scene.dialRaw(target.port, "impostor").catch(() => null);
	if (tls) {
		sendTicket(tls, target.memoryTicket);
		await closed(tls);
	}
	expect(await refused).toContain("handshake");
	expect(memory.connections).toEqual([]);
});

test("the source refuses a target that is not the host it expects", async () => {
	const { target } = await scene.openTarget();
	const place = join(scene.folder, "wrong-target");
	const source = openSourceTransfer({ ...scene.sourceOptions(target, place), peerHostId: scene.strangerId });
	await expect(source).rejects.toMatchObject({ code: "unavailable" });
	expect(existsSync(place)).toBe(false);
});

test("bytes that are no frame end the connection and touch nothing", async () => {
	const { target, memory, refused } = await scene.openTarget();
	const tls = await scene.dialRaw(target.port, "source");
	tls.write("GET / HTTP/1.1\r\n\r\n");
	await closed(tls);
	expect(await refused).toContain("unknown type");
	expect(memory.connections).toEqual([]);
});
