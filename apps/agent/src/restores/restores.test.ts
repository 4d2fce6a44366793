import { renameSync } from "node:fs";
import { SternaError } from "@sterna/shared/errors";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Guests } from "../guests/lifecycle.ts";
import { Repositories } from "../repositories/repositories.ts";

import {
	cutOff,
	ended,
	expectNothingLeft,
	orderOf,
	reportOf,
	savedPoint,
	server,
	writes,
} from "./testing/restoring-server.ts";

afterEach(() => vi.restoreAllMocks());

describe("an instant restore to a new guest that is cut off", () => {
	test.each(["opened", "placing", "phaseBegan:boot"])("at its line %s leaves nothing", async (line) => {
		const { live, pool } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first));
		const before = await pool();
		await cutOff(first, order, line);
		const second = await live();
		expect(await ended(second, order.restoreId)).toMatchObject({ state: "failed" });
		await expectNothingLeft(second, order, before, pool);
	});

	test("between the grant and the record of what the guest is leaves nothing", async () => {
		const { live, pool } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first));
		const before = await pool();
		vi.spyOn(first.context.store, "writeSpec").mockImplementation(async () => first.die());
		await cutOff(first, order);
		const second = await live();
		expect(await ended(second, order.restoreId)).toMatchObject({ state: "failed" });
		await expectNothingLeft(second, order, before, pool);
		expect(second.context.store.get(order.spec.id)?.record.role).toBe("none");
	});

	test("while it is deleted again is deleted by the next life, and nobody starts it until then", async () => {
		const { live, pool } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first));
		const before = await pool();
		await cutOff(first, order, "phaseBegan:boot");
		const second = await live((guests) => {
			vi.spyOn(guests, "delete").mockRejectedValue(new SternaError("unavailable", "the disk hangs"));
		});
		await vi.waitFor(
			() => expect(reportOf(second, order.restoreId)?.journal.at(-1)?.text).toMatch(/the disk hangs/),
			60_000,
		);
		expect(reportOf(second, order.restoreId)?.state).toBe("undoing");
		await expect(second.guests.start(order.spec.id, 1)).rejects.toMatchObject({ code: "conflict" });
		await second.close();
		const third = await live();
		expect(await ended(third, order.restoreId)).toMatchObject({ state: "failed" });
		await expectNothingLeft(third, order, before, pool);
	});

	test("at the line before its start is started by the next life: it may have run", async () => {
		const { live } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first));
		await cutOff(first, order, "booting");
		const second = await live();
		expect(await ended(second, order.restoreId)).toMatchObject({ state: "completed" });
		expect(second.guests.view(order.spec.id)?.state).toBe("running");
	});

	test.each([
		{ what: "its guest runs on", isRebooted: false },
		{ what: "the server was started again", isRebooted: true },
	])("after its start and before that is noted keeps its guest: $what", async ({ isRebooted }) => {
		const { live, reboot } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first));
		const start = first.guests.start.bind(first.guests);
		vi.spyOn(first.guests, "start").mockImplementation(async (...given) => {
			await start(...given);
			await writes(first, order);
			return first.die();
		});
		await cutOff(first, order);
		if (isRebooted) await reboot();
		const second = await live();
		await expect(second.services.restores.cancel(order.restoreId)).rejects.toMatchObject({ code: "wrong_state" });
		expect(await ended(second, order.restoreId)).toMatchObject({ state: "completed" });
		expect(second.guests.view(order.spec.id)?.state).toBe("running");
	});
});

describe("an instant restore to a new guest", () => {
	test.each(["startFrom", "launch"] as const)(
		"whose guest certainly did not start leaves nothing (%s)",
		async (fault) => {
			const { live, pool } = await server();
			const life = await live();
			const order = orderOf(await savedPoint(life));
			const before = await pool();
			life.driver.faults.failAt(fault);
			await life.services.restores.start(order);
			expect(await ended(life, order.restoreId)).toMatchObject({ state: "failed" });
			await expectNothingLeft(life, order, before, pool);
		},
	);

	test("whose guest ran although its start failed goes on", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		life.driver.faults.failAt("startFrom", { when: "after" });
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "completed" });
	});

	test("whose guest wrote before its start failed is not undone, and is started again", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		const start = life.guests.start.bind(life.guests);
		life.driver.faults.failAt("startFrom", { when: "after" });
		vi.spyOn(life.guests, "start").mockImplementationOnce(async (...given) => {
			await start(...given).catch(() => {});
			await writes(life, order);
			await life.driver.crash(order.spec.id);
			throw new SternaError("timeout", "it did not come up in time");
		});
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "completed" });
	});

	test.each(["phaseBegan:boot", "booting"])("that is cancelled at the line %s is undone", async (line) => {
		const { live, pool } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		vi.spyOn(life.driver, "holdsData").mockRejectedValue(new SternaError("timeout", "the disk is slow"));
		life.at(line, () => void life.services.restores.cancel(order.restoreId));
		const before = await pool();
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "cancelled" });
		await expectNothingLeft(life, order, before, pool);
	});
});

describe("an instant restore whose guest somebody starts by hand", () => {
	test("while the repository is away keeps that start away, and runs when the repository is back", async () => {
		const { live, nas } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		life.at("placing", () => renameSync(nas, `${nas}-away`));
		await life.services.restores.start(order);
		await expect.poll(() => reportOf(life, order.restoreId)?.state).toBe("waiting");
		await expect(life.guests.start(order.spec.id, 1)).rejects.toMatchObject({ code: "conflict" });
		renameSync(`${nas}-away`, nas);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "completed", error: null });
	});

	test("just before it does so itself completes", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		let byHand: Promise<unknown> = Promise.resolve();
		life.at("phaseBegan:boot", () => {
			byHand = life.guests.start(order.spec.id, 1).catch((thrown: unknown) => thrown);
		});
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "completed", error: null });
		expect(await byHand).toMatchObject({ code: "conflict" });
		expect(life.guests.view(order.spec.id)?.state).toBe("running");
	});
});

describe("an instant restore over a guest that is here", () => {
	test("whose start fails with its volumes in place gives the guest its old ones back", async () => {
		const { live, pool } = await server();
		const life = await live();
		const from = await savedPoint(life);
		const before = await pool();
		const volumes = from.saved.volumes.map(({ id }) => ({ from: id, to: id }));
		life.driver.faults.failAt("launch");
		const order = { ...orderOf(from), spec: from.saved, epoch: 2, volumes };
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "failed" });
		expect(await pool()).toEqual(before);
		await life.guests.start(from.saved.id, 2);
	});
});

describe("an instant restore of which it is not known whether its guest ran", () => {
	/** Killed between the line and the start, in its next life. */
	const inDoubt = async (prepare: (guests: Guests) => void = () => {}) => {
		const { live, pool, nas } = await server();
		const first = await live();
		const from = await savedPoint(first);
		const order = orderOf(from);
		const before = await pool();
		await cutOff(first, order, "booting");
		return { order, before, pool, nas, live: () => live(prepare) };
	};

	test("is undone when its start fails for good and nothing was written", async () => {
		const { live, pool, order, before } = await inDoubt((guests) => {
			vi.spyOn(guests, "start").mockRejectedValue(new SternaError("no_capacity", "there is no memory"));
		});
		const life = await live();
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "failed" });
		await expectNothingLeft(life, order, before, pool);
	});

	test("can be cancelled while its repository is away, when nothing was written", async () => {
		const { live, pool, order, before, nas } = await inDoubt();
		renameSync(nas, `${nas}-away`);
		const life = await live();
		await expect.poll(() => reportOf(life, order.restoreId)?.state).toBe("waiting");
		await life.services.restores.cancel(order.restoreId);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "cancelled" });
		await expectNothingLeft(life, order, before, pool);
	});

	test("says so to whoever cancels it", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		const refused = Promise.withResolvers<unknown>();
		vi.spyOn(life.driver, "startFrom").mockImplementationOnce(async () => {
			await life.services.restores.cancel(order.restoreId).then(refused.resolve, refused.resolve);
			throw new SternaError("unavailable", "it does not start");
		});
		await life.services.restores.start(order);
		expect(await refused.promise).toMatchObject({
			code: "wrong_state",
			message: expect.stringMatching(/may have started/),
		});
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "failed" });
	});
});

describe("an undo", () => {
	test("of a guest that somebody else has deleted is done", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		life.driver.faults.failAt("startFrom");
		vi.spyOn(life.guests, "delete").mockRejectedValue(new SternaError("not_found", "the guest is not on this host"));
		await life.services.restores.start(order);
		expect(await ended(life, order.restoreId)).toMatchObject({ state: "failed" });
	});

	test("that is tried again says once why", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life));
		life.driver.faults.failAt("startFrom");
		const hangs = new SternaError("unavailable", "the disk hangs");
		vi.spyOn(life.guests, "delete").mockRejectedValueOnce(hangs).mockRejectedValueOnce(hangs);
		await life.services.restores.start(order);
		const { journal } = await ended(life, order.restoreId);
		expect(journal.filter(({ text }) => text.includes("the disk hangs"))).toHaveLength(1);
	});
});

test("a restore holds its point in the repository until it has ended", async () => {
	const { live, readers } = await server();
	const life = await live();
	const order = orderOf(await savedPoint(life));
	let during: string[] = [];
	const { fillVolumes } = life.driver;
	vi.spyOn(life.driver, "fillVolumes").mockImplementation(async (...given) => {
		during = await readers();
		return fillVolumes.apply(life.driver, given);
	});
	await life.services.restores.start(order);
	expect(await ended(life, order.restoreId)).toMatchObject({ state: "completed" });
	expect(during).toEqual([order.restoreId]);
	await expect.poll(readers).toEqual([]);
});

test("a point that was removed while a guest is filled from it is told as that, not as a repository that is away", async () => {
	const { live } = await server();
	const life = await live();
	const order = orderOf(await savedPoint(life));
	const { lease } = Repositories.prototype;
	vi.spyOn(Repositories.prototype, "lease").mockImplementation(async function (this: Repositories, access) {
		const leased = await lease.call(this, access);
		// One repository for all that lease it.
		if (vi.isMockFunction(leased.repository.openPoint)) return leased;
		const openPoint = leased.repository.openPoint.bind(leased.repository);
		vi.spyOn(leased.repository, "openPoint").mockImplementation(async (...given) => {
			const reader = await openPoint(...given);
			const removed = new SternaError("not_found", "the recovery point was removed while it was read");
			vi.spyOn(reader, "read").mockRejectedValue(removed);
			return reader;
		});
		return leased;
	});
	await life.services.restores.start(order);
	// It waits at once; its journal says why when that is on the disk.
	await vi.waitFor(() => {
		const { state, journal } = reportOf(life, order.restoreId) ?? { state: null, journal: [] };
		expect(state).toBe("waiting");
		expect(journal.map(({ text }) => text)).toContain("the recovery point was removed while it was read");
	}, 60_000);
});

describe("a copied guest", () => {
	test("that cannot be started is restored all the same, and says why it stands", async () => {
		const { live } = await server();
		const life = await live();
		const order = orderOf(await savedPoint(life), "copy");
		life.driver.faults.failAt("start");
		await life.services.restores.start(order);
		const report = await ended(life, order.restoreId);
		expect(report).toMatchObject({ state: "completed", bootedAfterMs: null });
		expect(report.journal.map(({ text }) => text).join()).toMatch(/could not be started/);
		expect(life.guests.view(order.spec.id)?.state).toBe("stopped");
	});

	test("that was started when the agent was killed stays, and its restore completes", async () => {
		const { live } = await server();
		const first = await live();
		const order = orderOf(await savedPoint(first), "copy");
		await cutOff(first, order, "booted");
		const second = await live();
		expect(await ended(second, order.restoreId)).toMatchObject({ state: "completed", error: null });
		expect(second.guests.view(order.spec.id)?.state).toBe("running");
	});
});
