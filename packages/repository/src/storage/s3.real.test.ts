import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openParts } from "../open.ts";
import { MemoryStorage } from "../testing/memory-storage.ts";
import { backUp, newId, newRepository, restored, testKey, VolumeId } from "../testing/points.ts";
import { type ObjectGateway, type S3Place, startObjectGateway } from "../testing/radosgw.ts";
import { canary } from "../upkeep/canary.ts";
import { collect } from "../upkeep/collect.ts";
import { checkPlace } from "./check-place.ts";
import { openS3 } from "./s3.ts";
import { describeStorage } from "./storage-contract.ts";

let gateway: ObjectGateway;
let place: S3Place;

describe("a bucket of a real S3 server", () => {
	beforeAll(async () => {
		gateway = await startObjectGateway();
		place = await gateway.newBucket();
	});
	afterAll(() => gateway?.stop());

	describeStorage("S3", async () => openS3(place));

	test("a repository lives in it: backups, a prune, a collection, a restore", async () => {
		const storage = openS3(await gateway.newBucket());
		const { repository } = await newRepository({ storage });
		const volumeId = newId(VolumeId);
		const content = new Uint8Array(4 * 1024 * 1024);
		for (let at = 0; at < content.length; at += 4096) content[at] = 1 + (at % 250);
		const first = await backUp(repository, { volumeId, content });
		content.fill(7, 0, 65536);
		const second = await backUp(repository, {
			volumeId,
			content,
			parentPointId: first.pointId,
			changed: (at) => at === 0,
		});
		await repository.prune([first.pointId]);
		await repository.collect({ signal: AbortSignal.timeout(60_000) });
		expect((await repository.scrub({ signal: AbortSignal.timeout(60_000) })).damages).toEqual([]);
		expect(Buffer.compare(await restored(repository, second.pointId, volumeId), content)).toBe(0);
		await repository.close();
	});

	test("a wrong key, a wrong bucket and a wrong region are told apart, and no error tells a secret", async () => {
		const secret = "not-the-secret-of-anyone";
		const failures = [
			await openS3({ ...place, secretAccessKey: secret })
				.get("points/a")
				.catch(String),
			await openS3({ ...place, accessKeyId: "nobody", secretAccessKey: secret })
				.get("points/a")
				.catch(String),
		];
		for (const failure of failures) expect(String(failure)).not.toContain(secret);
		await expect(openS3({ ...place, secretAccessKey: secret }).get("points/a")).rejects.toMatchObject({
			code: "forbidden",
		});
		await expect(openS3({ ...place, bucket: "no-such-bucket" }).get("points/a")).rejects.toMatchObject({
			code: "unavailable",
		});
		await expect(openS3({ ...place, bucket: "no-such-bucket" }).size("points/a")).rejects.toMatchObject({
			code: "unavailable",
		});
	});

	test("what is locked cannot be deleted or replaced out of reach, what must change is not locked", async () => {
		const locked = await gateway.newBucket({ withObjectLock: true });
		const storage = openS3(locked);
		await storage.put("packs/a", Buffer.from("kept"));
		await storage.put("sessions/a", Buffer.from("beat"));
		await expect(storage.remove("packs/a")).rejects.toMatchObject({ code: "forbidden" });
		expect(Buffer.from(await storage.get("packs/a")).toString()).toBe("kept");
		await storage.put("sessions/a", Buffer.from("another beat"));
		await storage.remove("sessions/a");
		expect(await storage.size("sessions/a")).toBeNull();
	});

	test("a lock that was extended holds when its first time is over, and is never shortened", async () => {
		const locked = await gateway.newBucket({ withObjectLock: true });
		const lockMs = locked.lockDays * 24 * 60 * 60 * 1000;
		// Locked for a moment only: by a clock that is almost as far behind as a lock is long.
		const brief = openS3(locked, () => Date.now() - lockMs + 1500);
		const storage = openS3(locked);
		await brief.put("packs/extended", Buffer.from("kept"));
		await storage.extendLock?.("packs/extended");
		await brief.extendLock?.("packs/extended");
		await brief.put("packs/left", Buffer.from("not kept"));
		// Written later, so that when this can be deleted the other's first time is over as well.
		await expect.poll(() => storage.remove("packs/left"), { timeout: 20_000, interval: 200 }).toBeUndefined();
		await expect(storage.remove("packs/extended")).rejects.toMatchObject({ code: "forbidden" });
		await expect(storage.extendLock?.("packs/left")).rejects.toMatchObject({ code: "not_found" });
		expect(openS3(place).extendLock).toBeUndefined();
	});

	test("the canary cannot delete what is locked, and raises the alarm where a bucket does not keep its word", async () => {
		const { storage, repositoryId } = await newRepository({ storage: openS3(await gateway.newBucket()) });
		const opened = await openParts(storage, { repositoryId, key: testKey });
		expect(await canary(opened)).toBe(false);
		const locked = openS3(await gateway.newBucket({ withObjectLock: true }));
		expect(await canary({ ...opened, storage: locked })).toBe(true);
		const boasting = Object.assign(new MemoryStorage(), { locked: true });
		await expect(canary({ ...opened, storage: boasting })).rejects.toMatchObject({ code: "wrong_state" });
		await expect(collect(opened, { signal: AbortSignal.timeout(60_000) })).resolves.toEqual({
			freedBytes: 0,
			waitingFor: 0,
			lockFailures: null,
		});
		await opened.codec.close();
	});

	test("a bucket whose server forgets If-None-Match where it keeps versions is refused", async () => {
		await checkPlace(openS3(place));
		const forgetful = openS3({ ...(await gateway.newBucket({ withObjectLock: true })), lockDays: 0 });
		await expect(checkPlace(forgetful)).rejects.toMatchObject({ code: "incompatible" });
	});

	test("a server that is gone is out of reach, not an empty repository", { timeout: 60_000 }, async () => {
		const storage = openS3(place);
		await gateway.endGateway();
		await expect(storage.get("points/a")).rejects.toMatchObject({ code: "unavailable" });
		await expect(storage.size("points/a")).rejects.toMatchObject({ code: "unavailable" });
	});
});

describe("a server that answers as it likes", () => {
	const servers: Server[] = [];
	afterAll(() => servers.forEach((server) => void server.close()));

	/** Answers request n with the nth answer, and with the last for ever. */
	async function placeThatAnswers(...answers: ({ status: number; body?: string } | "hang up")[]): Promise<S3Place> {
		let at = 0;
		const server = createServer((request, response) => {
			request.resume();
			request.on("end", () => {
				const answer = answers[Math.min(at++, answers.length - 1)];
				if (answer === "hang up" || !answer) return void request.socket.destroy();
				response.writeHead(answer.status).end(answer.body ?? "");
			});
		});
		servers.push(server);
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const address = server.address();
		const port = address && typeof address === "object" ? address.port : 0;
		const who = { accessKeyId: "a", secretAccessKey: "s", lockDays: 0 };
		return { kind: "s3", endpoint: `http://127.0.0.1:${port}`, region: "r", bucket: "bucket", prefix: "", ...who };
	}

	test("what a server says to try again is tried again", async () => {
		const storage = openS3(await placeThatAnswers({ status: 503 }, "hang up", { status: 200, body: "at last" }));
		expect(Buffer.from(await storage.get("points/a")).toString()).toBe("at last");
	});

	test("a creation whose answer was lost is known as our own", async () => {
		const storage = openS3(await placeThatAnswers("hang up", { status: 412 }, { status: 200, body: "mine" }));
		await storage.create("points/a", Buffer.from("mine"));
		const others = openS3(await placeThatAnswers("hang up", { status: 412 }, { status: 200, body: "theirs" }));
		await expect(others.create("points/a", Buffer.from("mine"))).rejects.toMatchObject({ code: "conflict" });
	});

	test("a quota that is full is no capacity; a redirect names the endpoint", async () => {
		const full = openS3(await placeThatAnswers({ status: 403, body: "<Error><Code>QuotaExceeded</Code></Error>" }));
		await expect(full.put("packs/a", Buffer.from("x"))).rejects.toMatchObject({ code: "no_capacity" });
		const moved = openS3(
			await placeThatAnswers({ status: 301, body: "<Error><Code>PermanentRedirect</Code></Error>" }),
		);
		await expect(moved.get("packs/a")).rejects.toMatchObject({ code: "invalid" });
	});

	test("a list that breaks off is out of reach, never a short list", async () => {
		const body = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
		const storage = openS3(await placeThatAnswers({ status: 200, body }));
		const keys = async () => {
			for await (const { key } of storage.list("points/")) return key;
		};
		await expect(keys()).rejects.toMatchObject({ code: "unavailable" });
		const cut = openS3(await placeThatAnswers({ status: 200, body: "<ListBucketResult><Contents>" }));
		const cutKeys = async () => {
			for await (const { key } of cut.list("points/")) return key;
		};
		await expect(cutKeys()).rejects.toMatchObject({ code: "unavailable" });
	});
});
