import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Decision, type HandOverEvent, transition } from "@sterna/migration/handover";
import type { OwnershipRecord } from "@sterna/migration/ownership-record";
import { GuestId, newId } from "@sterna/shared/ids";
import fc from "fast-check";
import { expect, test } from "vitest";
import { guestSpec, testFolder } from "../fixtures/test-agent.ts";
import { GuestStore } from "./store.ts";

const grant = (guestId: GuestId, epoch: number): HandOverEvent => {
	return { type: "grant", guestId, epoch, process: "absent", fillsVolumes: false, at: 1000 };
};

async function storeWithGuest() {
	const dataDir = await testFolder();
	const store = await GuestStore.open(dataDir);
	const spec = guestSpec();
	await store.update(spec.id, (record) => transition(record, grant(spec.id, 2)));
	await store.writeSpec(spec);
	await store.writeRun(spec.id, { desired: "running", startedAt: 1000, bootId: "boot-1" });
	return { dataDir, store, spec };
}

test("what was written is read again by the next life", async () => {
	const { dataDir, store, spec } = await storeWithGuest();
	const again = await GuestStore.open(dataDir);
	expect(again.list()).toEqual(store.list());
	expect(again.list()).toMatchObject([{ spec, record: { role: "owner", epoch: 2 }, run: { desired: "running" } }]);
	expect((await readdir(join(dataDir, "guests", spec.id))).sort()).toEqual(["record.json", "run.json", "spec.json"]);
});

test("what a killed agent left half-written is not read and is taken away", async () => {
	const { dataDir, store, spec } = await storeWithGuest();
	await writeFile(join(dataDir, "guests", spec.id, "record.json.0123456789ab.tmp"), '{"role":"no');
	const again = await GuestStore.open(dataDir);
	expect(again.list()).toEqual(store.list());
	expect((await readdir(join(dataDir, "guests", spec.id))).sort()).toEqual(["record.json", "run.json", "spec.json"]);
});

test("only the epoch of a forgotten guest remains, and only once its record lets go", async () => {
	const { dataDir, store, spec } = await storeWithGuest();
	await expect(store.bury(spec.id)).rejects.toMatchObject({ code: "wrong_state" });
	await store.update(spec.id, (record) => transition(record, { type: "forget", epoch: 2 }));
	await store.bury(spec.id);
	const again = await GuestStore.open(dataDir);
	expect(again.list()).toEqual([]);
	expect(again.get(spec.id)?.record).toEqual({ role: "none", guestId: spec.id, highestEpoch: 2, arrival: null });
});

test.each([
	["record.json", "", "not valid JSON"],
	["record.json", '{"role":"owner"}', "damaged"],
	["record.json", '{"role":"none","role":"owner"}', "stands twice"],
	["record.json", "\u0000".repeat(512), "not valid JSON"],
	["spec.json", "[]", "damaged"],
	["run.json", '{"desired":"exploded"}', "damaged"],
])(
	"a %s with damaged content is reported, kept as it is, and nothing is written beside it",
	async (file, content, why) => {
		const { dataDir, spec } = await storeWithGuest();
		const path = join(dataDir, "guests", spec.id, file);
		await writeFile(path, content);
		const store = await GuestStore.open(dataDir);
		expect(store.list()).toEqual([]);
		expect(store.damaged()).toMatchObject([{ guestId: spec.id, reason: expect.stringContaining(why) }]);
		const writes = [
			store.update(spec.id, (record) => transition(record, grant(spec.id, 9))),
			store.writeSpec(spec),
			store.writeRun(spec.id, { desired: "stopped" }),
			store.bury(spec.id),
		];
		for (const write of writes) await expect(write).rejects.toMatchObject({ code: "wrong_state" });
		expect(await readFile(path, "utf8")).toBe(content);
	},
);

test("a folder with the files of another guest is damaged", async () => {
	const { dataDir, spec } = await storeWithGuest();
	const other = newId(GuestId);
	await mkdir(join(dataDir, "guests", other));
	for (const file of ["record.json", "spec.json"]) {
		await writeFile(join(dataDir, "guests", other, file), await readFile(join(dataDir, "guests", spec.id, file)));
	}
	const store = await GuestStore.open(dataDir);
	expect(store.damaged()).toMatchObject([{ guestId: other, reason: expect.stringContaining("another guest") }]);
	expect(store.list()).toMatchObject([{ guestId: spec.id }]);
});

test("a decision that would forget an epoch is never stored", async () => {
	const { store, spec } = await storeWithGuest();
	const forgetful: Decision = {
		verdict: "accept",
		record: { role: "none", guestId: spec.id, highestEpoch: 1, arrival: null },
		effects: [],
	};
	await expect(store.update(spec.id, () => forgetful)).rejects.toMatchObject({ code: "internal" });
	expect(await store.read(spec.id)).toMatchObject({ role: "owner", epoch: 2 });
});

test("decisions about one guest take turns, each on the record that the one before it left", async () => {
	const { store, spec } = await storeWithGuest();
	const seen: (OwnershipRecord | null)[] = [];
	const grants = [3, 4, 5, 6].map((epoch) =>
		store.update(spec.id, async (record) => {
			seen.push(record);
			await new Promise((resolve) => setImmediate(resolve));
			return transition(record, grant(spec.id, epoch));
		}),
	);
	await Promise.all(grants);
	expect(seen.map((record) => record?.highestEpoch)).toEqual([2, 3, 4, 5]);
});

test("whatever is granted in whatever order, the stored epoch never goes down", async () => {
	const dataDir = await testFolder();
	const store = await GuestStore.open(dataDir);
	await fc.assert(
		fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 }), async (epochs) => {
			const guestId = newId(GuestId);
			let highest = 0;
			for (const epoch of epochs) {
				await store.update(guestId, (record) => transition(record, grant(guestId, epoch)));
				highest = Math.max(highest, epoch);
				expect(store.get(guestId)?.record.highestEpoch).toBe(highest);
			}
		}),
		{ numRuns: 25 },
	);
});
