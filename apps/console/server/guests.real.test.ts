import { SternaError } from "@sterna/shared/errors";
import { newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codeOf, until } from "./testing/console-process.ts";
import { MoveScene } from "./testing/move-scene.ts";

// What people do with a guest at once, twice, or when its host is gone.

let scene: MoveScene;
beforeAll(async () => {
	scene = await MoveScene.start();
});
afterAll(async () => {
	expect(await scene.stop()).toBe(0);
});

describe("a disk that is added", () => {
	test("is one disk, also when the answer was lost and it is asked for again; its id is no other disk's", async () => {
		const id = await scene.newGuest("with-disks");
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		scene.agent(0).instead.set("volume.attach", new SternaError("unavailable", "the answer was lost"));
		expect(await codeOf(scene.api.guests.attachVolume.mutate(disk))).toBe("unavailable");
		scene.agent(0).instead.delete("volume.attach");
		for (let times = 0; times < 2; times++)
			expect(await scene.api.guests.attachVolume.mutate(disk)).toEqual({ id, volumeId: disk.volumeId });
		const { spec } = await scene.api.guests.get.query({ guestId: id });
		expect(spec.volumes.map((volume) => volume.id).filter((one) => one === disk.volumeId)).toHaveLength(1);
		expect(spec.volumes).toHaveLength(2);
		expect(await codeOf(scene.api.guests.attachVolume.mutate({ ...disk, sizeBytes: 128 * MiB }))).toBe("conflict");
		const other = await scene.newGuest("without");
		expect(await codeOf(scene.api.guests.attachVolume.mutate({ ...disk, id: other }))).toBe("conflict");
	});

	test.each([
		{ what: "is there", isThere: true },
		{ what: "is not there", isThere: false },
	])("whose answer was lost is listed as its host has it once that is heard: it $what", async ({ isThere }) => {
		const id = await scene.newGuest(`with-unheard-${isThere}`);
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		const agent = scene.agent(0);
		const report = agent.guests.get(id);
		const { volumes } = (await scene.guest(id)).spec;
		if (!report) throw new Error("the guest is not there");
		agent.instead.set("volume.attach", new SternaError("unavailable", "the answer was lost"));
		expect(await codeOf(scene.api.guests.attachVolume.mutate(disk))).toBe("unavailable");
		agent.instead.delete("volume.attach");
		const held = isThere ? [...volumes, { id: disk.volumeId, pool: "shared", sizeBytes: 128 * MiB }] : volumes;
		scene.fleet.places.specs.set(id, { ...(await scene.guest(id)).spec, volumes: held });
		agent.setGuest({ ...report, volumes: held });
		await until("it to be settled", async () => {
			const [event] = (await scene.api.events.list.query({ objectId: id })).rows;
			return event?.kind === "guest.volumesSettled" && event.actor === "rack1-01";
		});
		await expect.poll(async () => (await scene.guest(id)).spec.volumes).toEqual(held);
	});

	test("is shown no more when the host, asked again after a lost answer, refuses it and does not have it", async () => {
		const id = await scene.newGuest("with-refused-disk");
		const disk = { id, pool: "shared", sizeBytes: 64 * MiB, volumeId: newId(VolumeId) };
		for (const code of ["unavailable", "no_capacity"] as const) {
			scene.agent(0).instead.set("volume.attach", new SternaError(code, "not made"));
			expect(await codeOf(scene.api.guests.attachVolume.mutate(disk))).toBe(code);
		}
		scene.agent(0).instead.delete("volume.attach");
		const { spec } = await scene.api.guests.get.query({ guestId: id });
		expect(spec.volumes.map((volume) => volume.id)).not.toContain(disk.volumeId);
	});
});

describe("two people at once", () => {
	test("start, power off and delete: one of each pair wins, the other is told, nothing is half done", async () => {
		const guestId = await scene.newGuest("shared-by-two");
		const off = await Promise.all([
			codeOf(scene.api.guests.powerOff.mutate({ guestId })),
			codeOf(scene.api.guests.powerOff.mutate({ guestId })),
		]);
		expect(off.filter((code) => code === "ok")).toHaveLength(1);
		expect(off.filter((code) => code !== "ok")[0]).toMatch(/^(conflict|wrong_state)$/);
		const both = await Promise.all([
			codeOf(scene.api.guests.delete.mutate({ guestId })),
			codeOf(scene.api.guests.start.mutate({ guestId })),
		]);
		expect(both.filter((code) => code === "ok")).toHaveLength(1);
		const view = await codeOf(scene.guest(guestId));
		expect(view).toBe(both[0] === "ok" ? "not_found" : "ok");
	});

	test("the same name: one guest is made", async () => {
		const wish = {
			name: "twin",
			vcpus: 1,
			memoryBytes: 64 * MiB,
			boot: { from: "disk" as const },
			networks: [],
			start: false,
		};
		const volumes = [{ pool: "shared", sizeBytes: MiB }];
		const codes = await Promise.all([1, 2, 3].map(() => codeOf(scene.api.guests.create.mutate({ ...wish, volumes }))));
		expect(codes.sort()).toEqual(["conflict", "conflict", "ok"]);
	});
});

test("a guest is forgotten only some time after its host was revoked, and only by its name", async () => {
	const gone = await scene.join("rack3-01");
	const guestId = await scene.newGuest("gone", gone);
	const others = [await scene.newGuest("gone-2", gone), await scene.newGuest("gone-3", gone)];
	const there = await scene.newGuest("there");
	const forget = (name: string) => codeOf(scene.api.guests.forget.mutate({ guestId, name }));
	await gone.disconnect();
	expect(await forget("gone")).toBe("wrong_state");
	await scene.api.hosts.revoke.mutate({ hostId: gone.identity.hostId, reason: "it burnt" });
	expect(await forget("gone")).toBe("wrong_state");
	expect(await scene.guest(guestId)).toMatchObject({
		hostRevoked: true,
		forgetRefusal: { message: expect.stringMatching(/not forgotten yet/) },
	});
	const many = await scene.api.guests.forgetMany.mutate({ guestIds: [guestId] });
	expect(many.results).toMatchObject([{ name: "gone", ok: false, cure: expect.stringMatching(/try again in/) }]);
	await scene.console.kill();
	await scene.console.inDatabase("update hosts set revoked_at = now() - interval '6 minutes' where name = 'rack3-01'");
	await scene.console.restart();
	expect((await scene.guest(guestId)).forgetRefusal).toBeNull();
	expect(await forget("gnoe")).toBe("invalid");
	expect(await forget("gone")).toBe("ok");
	expect(await codeOf(scene.guest(guestId))).toBe("not_found");
	const [event] = (await scene.api.events.list.query({ objectId: guestId })).rows;
	expect(event).toMatchObject({ kind: "guest.forgotten", evidence: { epoch: 1 } });
	const [second, third] = others;
	const { results } = await scene.api.guests.forgetMany.mutate({ guestIds: [...others, there, guestId] });
	expect(results).toMatchObject([
		{ guestId: second, name: "gone-2", ok: true, message: "forgotten", cure: null },
		{ guestId: third, name: "gone-3", ok: true },
		{ guestId: there, name: "there", ok: false, cure: expect.stringMatching(/revoke it/) },
		{ guestId, name: null, ok: false },
	]);
	for (const id of others) expect(await codeOf(scene.guest(id))).toBe("not_found");
	expect(await scene.guest(there)).toMatchObject({ name: "there" });
});
