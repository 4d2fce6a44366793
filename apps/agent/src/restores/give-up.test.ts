import { renameSync } from "node:fs";
import { newId, RestoreId } from "@sterna/shared/ids";
import { afterEach, describe, expect, test, vi } from "vitest";
import { cutOff, ended, orderOf, reportOf, savedPoint, server } from "./testing/restoring-server.ts";

afterEach(() => vi.restoreAllMocks());

/** Started from a repository that went away since: its data is still coming, and its guest is stopped. */
async function stuck() {
	const host = await server();
	const life = await host.live();
	const from = await savedPoint(life);
	const order = orderOf(from);
	const filling = Promise.withResolvers<void>();
	vi.spyOn(life.driver, "fillVolumes").mockImplementation((_guestId, _onProgress, signal) => {
		filling.resolve();
		return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
	});
	await life.services.restores.start(order);
	await filling.promise;
	const before = await host.pool();
	return { ...host, life, from, order, before };
}

const lost = { code: "conflict", message: expect.stringMatching(/half-filled disks: its restore was given up/) };

describe("a restore that a person stops trying", () => {
	test("goes on while its guest has a process, and says to power it off first", async () => {
		const { life, order } = await stuck();
		await expect(life.services.restores.giveUp(order.restoreId)).rejects.toMatchObject({
			code: "wrong_state",
			cure: expect.stringMatching(/power .* off first/),
		});
		expect(reportOf(life, order.restoreId)?.state).toBe("running");
		expect(life.guests.view(order.spec.id)?.state).toBe("running");
	});

	test("ends as given up, deletes nothing, lets go of its point and leaves its guest stopped, saying why", async () => {
		const { life, order, before, pool, readers } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		expect(await ended(life, order.restoreId)).toMatchObject({
			...{ state: "failed", givenUp: true },
			error: {
				message: expect.stringMatching(/half filled/),
				cure: expect.stringMatching(/delete .* restore over it/),
			},
		});
		expect(await pool()).toEqual(before);
		await expect.poll(readers).toEqual([]);
		expect(life.guests.view(order.spec.id)).toMatchObject({
			state: "stopped",
			remark: expect.stringMatching(/given up .* half filled; delete it, or restore over it again/),
		});
		await life.services.restores.giveUp(order.restoreId);
	});

	test("leaves a guest that is not started from half-filled disks, nor saved, also in the agent's next life", async () => {
		const { life, live, order, from } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		await ended(life, order.restoreId);
		await expect(life.guests.start(order.spec.id, 1)).rejects.toMatchObject(lost);
		await life.close();
		const next = await live();
		expect(reportOf(next, order.restoreId)).toMatchObject({ state: "failed", givenUp: true });
		await expect(next.guests.start(order.spec.id, 1)).rejects.toMatchObject(lost);
		const plan = await next.services.backups.plan({
			...{ access: from.access, guestId: order.spec.id },
			options: { bytesPerSecond: null, freeze: false, readWhole: false },
		});
		expect(plan.refusals.map(({ message }) => message).join()).toMatch(/half-filled disks/);
		await next.guests.delete(order.spec.id, 1);
		expect(next.guests.view(order.spec.id)).toBeNull();
	});

	test("leaves a guest that is whole and may be started after it was restored over", async () => {
		const { life, order } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		await ended(life, order.restoreId);
		vi.restoreAllMocks();
		const again = { ...order, restoreId: newId(RestoreId), epoch: 2, mode: "copy" as const, start: false };
		await life.services.restores.start(again);
		expect(await ended(life, again.restoreId)).toMatchObject({ state: "completed" });
		expect(life.guests.view(order.spec.id)?.remark).toBeNull();
		await life.guests.start(order.spec.id, 2);
	});

	test("leaves a guest that is half filled still when the restore over it is undone", async () => {
		const { life, order } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		await ended(life, order.restoreId);
		vi.restoreAllMocks();
		life.driver.faults.failAt("launch");
		const again = { ...order, restoreId: newId(RestoreId), epoch: 2 };
		await life.services.restores.start(again);
		expect(await ended(life, again.restoreId)).toMatchObject({ state: "failed", givenUp: false });
		await expect(life.guests.start(order.spec.id, 2)).rejects.toMatchObject(lost);
	});

	test("leaves nothing of what was there before once its guest is restored over and whole", async () => {
		const { life, live, order, pool } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		await ended(life, order.restoreId);
		const before = await pool();
		// Once more over it, and given up again: the half-filled disks of the first are put aside.
		const over = { ...order, restoreId: newId(RestoreId), epoch: 2 };
		await life.services.restores.start(over);
		await expect.poll(() => reportOf(life, over.restoreId)?.phase).toBe("stream");
		await life.guests.powerOff(order.spec.id, 2);
		await life.services.restores.giveUp(over.restoreId);
		await ended(life, over.restoreId);
		expect((await pool()).length).toBeGreaterThan(before.length);
		vi.restoreAllMocks();
		const whole = { ...order, restoreId: newId(RestoreId), epoch: 3, mode: "copy" as const, start: false };
		await life.services.restores.start(whole);
		expect(await ended(life, whole.restoreId)).toMatchObject({ state: "completed" });
		expect(await pool()).toEqual(before);
		await life.close();
		expect((await live()).guests.view(order.spec.id)?.remark).toBeNull();
	});

	test("leaves nothing of what was there before once its guest is deleted", async () => {
		const { life, order, from, pool } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		await life.services.restores.giveUp(order.restoreId);
		await ended(life, order.restoreId);
		const over = { ...order, restoreId: newId(RestoreId), epoch: 2 };
		await life.services.restores.start(over);
		await expect.poll(() => reportOf(life, over.restoreId)?.phase).toBe("stream");
		await life.guests.powerOff(order.spec.id, 2);
		await life.services.restores.giveUp(over.restoreId);
		await ended(life, over.restoreId);
		await life.guests.delete(order.spec.id, 2);
		expect((await pool()).filter((name) => !name.startsWith("."))).toEqual(
			from.saved.volumes.map(({ id }) => `${id}.qcow2`),
		);
	});

	test("is given up by the agent's next life when this one is killed with the mark just made", async () => {
		const { life, live, order } = await stuck();
		await life.guests.powerOff(order.spec.id, 1);
		life.at("givenUp", life.die);
		await life.services.restores.giveUp(order.restoreId);
		await life.died;
		await life.close();
		const next = await live();
		expect(await ended(next, order.restoreId)).toMatchObject({ state: "failed", givenUp: true });
		await expect(next.guests.start(order.spec.id, 1)).rejects.toMatchObject(lost);
	});
});

test("a restore that can be cancelled is not given up", async () => {
	const { live, nas } = await server();
	const first = await live();
	const order = orderOf(await savedPoint(first));
	await cutOff(first, order, "booting");
	renameSync(nas, `${nas}-away`);
	const life = await live();
	await expect.poll(() => reportOf(life, order.restoreId)?.state).toBe("waiting");
	await expect(life.services.restores.giveUp(order.restoreId)).rejects.toMatchObject({
		code: "wrong_state",
		cure: expect.stringMatching(/cancel the restore/),
	});
	await life.services.restores.cancel(order.restoreId);
	expect(await ended(life, order.restoreId)).toMatchObject({ state: "cancelled" });
});
