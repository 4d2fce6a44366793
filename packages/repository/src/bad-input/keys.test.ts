import { randomBytes } from "node:crypto";
import { asSternaError } from "@sterna/shared/errors";
import { newId, VolumeId } from "@sterna/shared/ids";
import { formatRepositoryKey } from "@sterna/shared/repository-key";
import { describe, expect, test } from "vitest";
import { openRepository } from "../open.ts";
import { codec, MiB, newKeyOf, withPoint } from "../testing/point-in-memory.ts";
import { backUp, restored, testKey } from "../testing/points.ts";

describe("keys", () => {
	test("a wrong key is refused, and so is one that was not copied exactly", async () => {
		const { memory, repositoryId } = await withPoint();
		const wrong = await formatRepositoryKey(new Uint8Array(32).fill(9));
		await expect(openRepository(memory, { repositoryId, key: wrong })).rejects.toMatchObject({ code: "forbidden" });
		const slip = testKey.replace(/.$/, (last) => (last === "a" ? "b" : "a"));
		await expect(openRepository(memory, { repositoryId, key: slip })).rejects.toMatchObject({ code: "invalid" });
	});

	test("after a replacement the new key opens every point and the old one nothing", async () => {
		const { memory, repository, repositoryId, pointId, volumeId, content } = await withPoint();
		const newKey = await formatRepositoryKey(new Uint8Array(32).fill(9));
		const before = await openRepository(memory, { repositoryId, key: testKey, codec });
		await repository.replaceKey(newKey);
		await expect(openRepository(memory, { repositoryId, key: testKey, codec })).rejects.toMatchObject({
			code: "forbidden",
		});
		const after = await openRepository(memory, { repositoryId, key: newKey, codec });
		expect((await restored(after, pointId, volumeId)).equals(content)).toBe(true);
		const next = await backUp(after, { volumeId: newId(VolumeId), content: randomBytes(MiB) });
		// Who opened it with the old key sees that something was written that the old key does not open.
		await expect(before.openPoint(next.pointId)).rejects.toMatchObject({ code: "forbidden" });
		expect((await restored(repository, next.pointId, next.volumes[0]?.volumeId ?? volumeId)).length).toBe(MiB);
	});

	test.each(["looked", "written"])(
		"of two replacements at once one wins, and the other, which has %s, changes nothing",
		async (when) => {
			const { memory, repository, repositoryId } = await withPoint();
			const [keyA, keyB] = [await newKeyOf(11), await newKeyOf(12)];
			const other = await openRepository(memory, { repositoryId, key: testKey, codec });
			const create = memory.create.bind(memory);
			const outcomes: string[] = [];
			const replaced = (work: Promise<void>) =>
				work.then(
					() => void outcomes.push("won"),
					(error: unknown) => void outcomes.push(asSternaError(error).code),
				);
			let isFirst = true;
			memory.create = async (key, data) => {
				const wasFirst = isFirst;
				isFirst = false;
				if (when === "written") await create(key, data);
				// The whole of the other one happens after this one has looked, or written.
				if (wasFirst) await replaced(other.replaceKey(keyB));
				if (when === "looked") await create(key, data);
			};
			await replaced(repository.replaceKey(keyA));
			expect(outcomes.toSorted()).toEqual(["conflict", "won"]);
			const [winner, losers] = when === "looked" ? [keyB, [keyA, testKey]] : [keyA, [keyB, testKey]];
			await openRepository(memory, { repositoryId, key: winner, codec });
			for (const key of losers) {
				await expect(openRepository(memory, { repositoryId, key, codec })).rejects.toMatchObject({ code: "forbidden" });
			}
		},
	);

	test("a key that is being replaced elsewhere is no damage to who scrubs with it, and nothing becomes suspect", async () => {
		const { memory, repository, repositoryId } = await withPoint();
		const stale = await openRepository(memory, { repositoryId, key: testKey, codec });
		const signal = new AbortController().signal;
		const [slot = ""] = [...memory.objects.keys()].filter((key) => key.startsWith("keys/"));
		const keyring = memory.objects.get(slot);
		await repository.replaceKey(await newKeyOf(14));
		await backUp(repository, { volumeId: newId(VolumeId), content: randomBytes(MiB) });
		await expect(stale.scrub({ signal })).rejects.toMatchObject({ code: "forbidden" });
		// Between its two steps the old slot is still there.
		if (keyring) memory.objects.set(slot, keyring);
		await expect(stale.scrub({ signal })).rejects.toMatchObject({ code: "forbidden" });
		expect([...memory.objects.keys()].filter((key) => key.startsWith("suspect/"))).toEqual([]);
		expect((await repository.scrub({ signal })).damages).toEqual([]);
	});

	test("a flipped key number is damage where no key was replaced", async () => {
		const { memory, repository } = await withPoint();
		const [key = ""] = [...memory.objects.keys()].filter((each) => each.startsWith("points/"));
		const bytes = Uint8Array.from(memory.objects.get(key) ?? []);
		bytes[4] = 9;
		memory.objects.set(key, bytes);
		const { damages } = await repository.scrub({ signal: new AbortController().signal });
		expect(damages.map(({ object }) => object)).toContain(key);
	});

	test("who opened it with a key that was replaced since cannot replace it again", async () => {
		const { memory, repository, repositoryId } = await withPoint();
		const stale = await openRepository(memory, { repositoryId, key: testKey, codec });
		const newKey = await newKeyOf(13);
		await repository.replaceKey(newKey);
		await expect(stale.replaceKey(await newKeyOf(14))).rejects.toMatchObject({ code: "forbidden" });
		await openRepository(memory, { repositoryId, key: newKey, codec });
	});

	test("in a locked bucket is not replaced, and nothing is written", async () => {
		const { memory, repositoryId } = await withPoint();
		const locked = Object.assign(memory, { locked: true });
		const repository = await openRepository(locked, { repositoryId, key: testKey, codec });
		const before = [...memory.objects.keys()];
		await expect(repository.replaceKey(await newKeyOf(15))).rejects.toMatchObject({ code: "incompatible" });
		expect([...memory.objects.keys()]).toEqual(before);
	});

	test("a keyring that was changed is refused", async () => {
		const { memory, repositoryId } = await withPoint();
		const slot = [...memory.objects.keys()].find((key) => key.startsWith("keys/")) ?? "";
		for (const change of [(bytes: Uint8Array) => bytes.fill(0, 20, 21), (bytes: Uint8Array) => bytes.fill(0, 0, 1)]) {
			const bytes = new Uint8Array(memory.objects.get(slot) ?? []);
			memory.objects.set(slot, new Uint8Array(bytes));
			change(memory.objects.get(slot) ?? bytes);
			const opening = openRepository(memory, { repositoryId, key: testKey, codec });
			await expect(opening).rejects.toMatchObject({ code: "invalid", message: expect.stringContaining(slot) });
			memory.objects.set(slot, bytes);
		}
	});
});
