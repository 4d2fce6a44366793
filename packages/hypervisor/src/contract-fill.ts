import { join } from "node:path";
import type { NbdExport, NbdServer } from "@sterna/nbd/nbd";
import { serveNbd } from "@sterna/nbd/server";
import type { DiskProgress } from "@sterna/shared/copying";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Hypervisor, StartRequest, VolumeSource } from "./hypervisor.ts";
import { collectEvents, countsOn, type DriverUnderTest, readCounts, readSerial, Site, until } from "./testing/site.ts";

const block = 65_536;
/** What the counting guest reads when it is asked for the end of its disk. */
const lastSector = 0x7ff8;
const lastWord = 0xfeed_f00d;

/** Starting guests whose volumes are not here yet, part of the contract suite. */
export function describeFill(make: () => Promise<DriverUnderTest>): void {
	let site: Site;
	let driver: Hypervisor;
	let underTest: DriverUnderTest;
	const guests: StartRequest[] = [];
	const servers = new Set<NbdServer>();

	beforeAll(async () => {
		underTest = await make();
		site = new Site(underTest);
		driver = site.open("a");
		await driver.adopt();
	});
	afterEach(async () => {
		for (const { spec } of guests.splice(0)) await driver.powerOff(spec.id);
		for (const server of servers) await server.close();
		servers.clear();
	});
	afterAll(() => site.close());

	/** A guest with an empty volume, and a server that has what belongs into it. */
	const newGuest = async () => {
		const whole = await site.newGuest(driver);
		const request = await site.withOwnVolumes(driver, whole);
		guests.push(request);
		const [volume] = whole.volumes;
		if (!volume) throw new Error("the guest has no volume");
		const content = await site.readContent(volume);
		content.writeUInt32LE(lastWord, lastSector * 512);
		const sources: VolumeSource[] = [
			{
				volumeId: volume.volumeId,
				socket: join(underTest.folder, `n${request.spec.id.slice(0, 8)}`),
				exportName: "disk",
			},
		];
		return { request, sources, source: new Source(sources[0]?.socket ?? "", content, servers) };
	};
	const fill = (request: StartRequest, progress: DiskProgress[] = [], signal = new AbortController().signal) =>
		driver.fillVolumes(request.spec.id, (now) => progress.push(now), signal);
	const unharmed = async (request: StartRequest) => {
		await countsOn(driver, request.spec.id);
		const counts = await readCounts(driver, request.spec.id);
		expect(counts).toEqual(counts.map((_, index) => index + 1));
	};
	const standsAlone = async (request: StartRequest) => {
		const [volume] = request.volumes;
		if (!volume) throw new Error("the guest has no volume");
		expect(await driver.inspectVolume(volume)).toMatchObject({ exists: true });
		const counts = await readCounts(driver, request.spec.id);
		await driver.powerOff(request.spec.id);
		expect(await site.readCount(volume)).toBeGreaterThanOrEqual(counts.at(-1) ?? 0);
		await driver.start(request);
		await until(async () => (await readCounts(driver, request.spec.id)).length > counts.length, "it boots by itself");
	};

	test("a guest starts at once from what a socket serves, and stands alone when all of it is here", async () => {
		const { request, sources, source } = await newGuest();
		await source.open();
		expect(await driver.startFrom(request, sources)).toMatchObject({ state: "running", heldByStorage: false });
		await countsOn(driver, request.spec.id);
		const progress: DiskProgress[] = [];
		await fill(request, progress);
		expect(progress.at(-1)).toEqual({ totalBytes: source.sizeBytes, transferredBytes: source.sizeBytes });
		await source.close();
		await unharmed(request);
		await fill(request);
		await standsAlone(request);
	});

	test("a volume that is not completely here says so itself: nobody starts it without its source", async () => {
		const { request, sources, source } = await newGuest();
		await source.open();
		await driver.startFrom(request, sources);
		await countsOn(driver, request.spec.id);
		await driver.powerOff(request.spec.id);
		const refusal = { code: "wrong_state", message: expect.stringContaining("not completely here yet") };
		await expect(driver.start(request)).rejects.toMatchObject(refusal);
		for (const volume of request.volumes) await expect(driver.inspectVolume(volume)).rejects.toMatchObject(refusal);
		await driver.close();
		driver = site.open("a");
		await driver.adopt();
		await expect(driver.start(request)).rejects.toMatchObject(refusal);
		await driver.startFrom(request, sources);
		await fill(request);
		await standsAlone(request);
	});

	test("a volume whose guest could not be started holds nothing, and what a guest wrote shows without its source", async () => {
		const { request, sources, source } = await newGuest();
		const [volume] = request.volumes;
		if (!volume) throw new Error("the guest has no volume");
		expect(await driver.holdsData(volume)).toBe(false);
		await expect(driver.startFrom(request, sources)).rejects.toThrow();
		await expect(driver.inspectVolume(volume)).rejects.toMatchObject({ code: "wrong_state" });
		expect(await driver.holdsData(volume)).toBe(false);
		await source.open();
		await driver.startFrom(request, sources);
		await countsOn(driver, request.spec.id);
		await expect(driver.holdsData(volume)).rejects.toThrow();
		await driver.powerOff(request.spec.id);
		await source.close();
		expect(await driver.holdsData(volume)).toBe(true);
		await driver.deleteVolume(volume);
		await expect(driver.holdsData(volume)).rejects.toMatchObject({ code: "not_found" });
	});

	test("what is written while it fills is kept, also when the guest is killed in the middle and started again", async () => {
		const { request, sources, source } = await newGuest();
		await source.open();
		source.hold();
		await driver.startFrom(request, sources);
		await countsOn(driver, request.spec.id);
		const filling = fill(request).catch((error: unknown) => error);
		await until(async () => source.askedBytes > 2 * block, "it fills");
		await site.kill(driver, request.spec.id);
		await until(async () => (await driver.inspect(request.spec.id)).state === "absent", "the guest is gone");
		expect(await filling).toBeInstanceOf(Error);
		const counted = (await readCounts(driver, request.spec.id)).at(-1) ?? 0;
		source.letGo();
		await driver.startFrom(request, sources);
		await fill(request);
		const [volume] = request.volumes;
		await driver.powerOff(request.spec.id);
		expect(volume && (await site.readCount(volume))).toBeGreaterThan(0);
		expect(counted).toBeGreaterThan(0);
		// Complete by now, whatever a journal says: the source is not even asked.
		await source.close();
		await driver.startFrom(request, sources);
		await until(async () => (await driver.inspect(request.spec.id)).state === "running", "it runs");
	});

	test("a cancelled fill leaves the guest running from its source, and a later one goes on", async () => {
		const { request, sources, source } = await newGuest();
		await source.open();
		await driver.startFrom(request, sources);
		await countsOn(driver, request.spec.id);
		source.hold();
		const cancelling = new AbortController();
		const filling = expect(fill(request, [], cancelling.signal)).rejects.toMatchObject({ code: "cancelled" });
		await until(async () => source.isHolding, "it waits for its source");
		cancelling.abort();
		source.letGo();
		await filling;
		await unharmed(request);
		await fill(request);
		await source.close();
		await unharmed(request);
	});

	/** The guest needs its source, which fails from `percent` of the disk on; it waits, and goes on when it is back. */
	const outliveSource = async (percent: number) => {
		const { request, sources, source } = await newGuest();
		const { id } = request.spec;
		await source.open();
		await driver.startFrom(request, sources);
		await countsOn(driver, id);
		source.failAfter(Math.floor((source.sizeBytes * percent) / 100));
		const filling = fill(request);
		filling.catch(() => undefined);
		await until(async () => source.hasFailed, "the source fails");
		await source.close();
		const events = collectEvents(driver);
		const isTold = () => events.some((event) => event.type === "heldByStorage" && event.guestId === id);
		await driver.serialWrite(id, Buffer.from("d"));
		await until(async () => (await driver.inspect(id)).heldByStorage, "the guest waits");
		await until(async () => isTold(), "that is told");
		expect((await driver.inspect(id)).state).toBe("paused");
		await driver.resume(id);
		await until(async () => (await driver.inspect(id)).heldByStorage, "it waits on");
		await source.open();
		await driver.resume(id);
		await until(async () => (await driver.inspect(id)).state === "running", "it goes on");
		await until(async () => (await readSerial(driver, id)).includes("=feedf00d\n"), "it reads its disk");
		await filling;
		await unharmed(request);
		await standsAlone(request);
	};

	// At once, because most of it is waiting: QEMU tries a lost source again after 1, 2, 4 and 8 s.
	test("a source that is gone at 10, 50 or 90 per cent pauses the guest when it needs it, and harms nothing", async () => {
		const percents = [10, 50, 90];
		const outcomes = await Promise.allSettled(percents.map(outliveSource));
		for (const [index, outcome] of outcomes.entries()) {
			if (outcome.status === "rejected") throw new Error(`gone at ${percents[index]} %`, { cause: outcome.reason });
		}
	});
}

/** Serves one disk, and plays a repository that is slow, fails or goes away. */
class Source {
	askedBytes = 0;
	hasFailed = false;
	isHolding = false;
	readonly #socket: string;
	readonly #content: Buffer;
	readonly #servers: Set<NbdServer>;
	#server: NbdServer | null = null;
	#failsAfter = Number.POSITIVE_INFINITY;
	#gate = Promise.resolve();
	#open: () => void = () => undefined;

	constructor(socket: string, content: Buffer, servers: Set<NbdServer>) {
		this.#socket = socket;
		this.#content = content;
		this.#servers = servers;
	}

	get sizeBytes(): number {
		return this.#content.length;
	}

	async open(): Promise<void> {
		this.hasFailed = false;
		this.#failsAfter = Number.POSITIVE_INFINITY;
		const disk: NbdExport = {
			name: "disk",
			sizeBytes: this.sizeBytes,
			read: (offset, lengthBytes) => this.#read(offset, lengthBytes),
		};
		this.#server = await serveNbd({ socketPath: this.#socket, exports: [disk] });
		this.#servers.add(this.#server);
	}

	async close(): Promise<void> {
		await this.#server?.close();
	}

	/** From a position of the disk on, everything fails. */
	failAfter(bytes: number): void {
		this.#failsAfter = bytes;
	}

	/** Large reads, as a fill's are, wait. */
	hold(): void {
		const { promise, resolve } = Promise.withResolvers<void>();
		this.#gate = promise;
		this.#open = resolve;
	}

	letGo(): void {
		this.#open();
		this.#gate = Promise.resolve();
	}

	async #read(offset: number, lengthBytes: number): Promise<Buffer> {
		this.askedBytes += lengthBytes;
		if (offset + lengthBytes > this.#failsAfter) {
			this.hasFailed = true;
			throw new Error("the repository is gone");
		}
		if (lengthBytes > block) {
			this.isHolding = true;
			await this.#gate;
			this.isHolding = false;
		}
		return this.#content.subarray(offset, offset + lengthBytes);
	}
}
