import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { closed, hashOf, TransferScene } from "./testing/transfer-scene.ts";

let scene: TransferScene;
beforeAll(async () => {
	scene = await TransferScene.open({ silenceLimitMs: 1500 });
});
afterEach(() => scene.clear());
afterAll(() => scene.close());

test("a slow reader holds the sender back instead of filling the agents' memory", async () => {
	const { target, memory } = await scene.openTarget();
	const source = await scene.openSource(target);
	const sender = scene.qemuConnects(source.memorySocket);
	const piece = randomBytes(64 * 1024);
	let accepted = 0;
	const stalled = new Promise<void>((resolve) => {
		const push = () => {
			while (sender.write(piece)) accepted += piece.length;
			accepted += piece.length;
			// Longer than the silence limit: waiting for a slow QEMU is not silence.
			const timer = setTimeout(resolve, 3 * scene.times.silenceLimitMs);
			sender.once("drain", () => {
				clearTimeout(timer);
				push();
			});
		};
		push();
	});
	const receiver = await memory.next();
	receiver.pause();
	await stalled;
	expect(accepted).toBeLessThan(32 * 1024 * 1024);
	sender.end();
	expect((await hashOf(receiver)).bytes).toBe(accepted);
});

test("a way that swallows everything silently is noticed, and both sides are cut", async () => {
	const { target, memory } = await scene.openTarget();
	const way = await scene.layWay(target.port);
	const source = await scene.openSource(target, { port: way.port });
	const sender = scene.qemuConnects(source.memorySocket);
	sender.write("alive");
	const receiver = await memory.next();
	way.swallow();
	await Promise.all([closed(sender), closed(receiver)]);
	expect((await source.ended)?.message).toContain("nothing was heard");
	expect((await target.ended)?.message).toMatch(/nothing was heard|closed/);
});

test("a quiet stream stays open: heartbeats are enough", async () => {
	const { target, memory } = await scene.openTarget();
	const source = await scene.openSource(target);
	const sender = scene.qemuConnects(source.memorySocket);
	const receiver = await memory.next();
	const died = Promise.race([source.ended, target.ended]).then(() => "died");
	const quiet = new Promise<string>((resolve) => setTimeout(() => resolve("alive"), 3 * scene.times.silenceLimitMs));
	expect(await Promise.race([died, quiet])).toBe("alive");
	sender.end("late word");
	expect((await hashOf(receiver)).bytes).toBe(9);
});
