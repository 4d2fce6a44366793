import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import type { CreateVolume, Hypervisor, HypervisorEvent, StartRequest, VolumeLocation } from "../hypervisor.ts";
import { openRelay, type Relay } from "./relay.ts";

/** What a driver's test gives to the contract suite: a machine that plays several servers. */
export interface DriverUnderTest {
	/** A new life of the driver over the folder of the server with that name. */
	open(server: string): Hypervisor;
	/** Ends the guest's process from outside, as the kernel's out-of-memory killer would. */
	kill(driver: Hypervisor, guestId: GuestId): Promise<void>;
	/** What the counting guest wrote to its volume last, read from the file. */
	readCount(location: VolumeLocation): Promise<number>;
	/** All that a volume that is nobody's has in it. */
	readContent(location: VolumeLocation): Promise<Buffer>;
	/** Folder for volumes and sockets of the test. */
	folder: string;
	/** The counting guest's disk; undefined where volumes have no content. */
	image: CreateVolume["from"];
	close(): Promise<void>;
}

const volumeBytes = 16 * MiB;

/** One test's servers, guests and links; closing it ends all of them. */
export class Site {
	readonly #driver: DriverUnderTest;
	readonly #drivers: Hypervisor[] = [];
	readonly #relays: Relay[] = [];
	readonly #guests = new Set<GuestId>();

	constructor(driver: DriverUnderTest) {
		this.#driver = driver;
	}

	open(server: string): Hypervisor {
		const driver = this.#driver.open(server);
		this.#drivers.push(driver);
		return driver;
	}

	kill(driver: Hypervisor, guestId: GuestId): Promise<void> {
		return this.#driver.kill(driver, guestId);
	}

	readCount(location: VolumeLocation): Promise<number> {
		return this.#driver.readCount(location);
	}

	readContent(location: VolumeLocation): Promise<Buffer> {
		return this.#driver.readContent(location);
	}

	/** A guest that counts, with one volume that is made on `driver` and one NIC. */
	async newGuest(driver: Hypervisor): Promise<StartRequest> {
		const id = newId(GuestId);
		this.#guests.add(id);
		const volumeId = newId(VolumeId);
		const spec = GuestSpec.parse({
			id,
			name: `count-${id.slice(0, 8)}`,
			vcpus: 1,
			memoryBytes: 48 * MiB,
			boot: { from: "disk" },
			volumes: [{ id: volumeId, pool: "local", sizeBytes: volumeBytes }],
			nics: [{ mac: "52:54:00:aa:bb:cc", network: "lan" }],
		});
		const location = { volumeId, path: join(this.#driver.folder, `${volumeId}.img`) };
		await driver.createVolume({ ...location, sizeBytes: volumeBytes, ...this.#image() });
		return { spec, volumes: [location], nics: [{ kind: "user" }] };
	}

	/** An empty volume that no guest has yet. */
	async newVolume(driver: Hypervisor, sizeBytes: number): Promise<VolumeLocation> {
		const volumeId = newId(VolumeId);
		const location = { volumeId, path: join(this.#driver.folder, `${volumeId}.img`) };
		await driver.createVolume({ ...location, sizeBytes });
		return location;
	}

	/** The same guest with an empty volume beside, to be copied into. */
	async withOwnVolumes(driver: Hypervisor, request: StartRequest): Promise<StartRequest> {
		const volumes = request.volumes.map((volume) => ({ ...volume, path: `${volume.path}-copy` }));
		for (const volume of volumes) await driver.createVolume({ ...volume, sizeBytes: volumeBytes });
		return { ...request, volumes };
	}

	async relay(target: string): Promise<Relay> {
		const relay = await openRelay(join(this.#driver.folder, `l${this.#relays.length}`), target);
		this.#relays.push(relay);
		return relay;
	}

	async close(): Promise<void> {
		for (const relay of this.#relays) relay.close();
		for (const driver of this.#drivers) await driver.close();
		for (const server of ["a", "b"]) {
			const driver = this.#driver.open(server);
			await driver.adopt();
			for (const guestId of this.#guests) await driver.powerOff(guestId);
			await driver.close();
		}
		await this.#driver.close();
	}

	#image(): { from?: NonNullable<CreateVolume["from"]> } {
		return this.#driver.image ? { from: this.#driver.image } : {};
	}
}

/** The counts on a guest's serial line, in order. Throws when the guest found its memory or disk changed. */
export async function readCounts(driver: Hypervisor, guestId: GuestId): Promise<number[]> {
	return parseCounts(await readSerial(driver, guestId));
}

export function parseCounts(text: string): number[] {
	if (/^!$/m.test(text)) throw new Error("the guest found its memory or disk other than it left them");
	return [...text.matchAll(/^([0-9a-f]{8})$/gm)].map((match) => Number.parseInt(match[1] ?? "", 16));
}

export function readSerial(driver: Hypervisor, guestId: GuestId): Promise<string> {
	return readFile(driver.serialLogPath(guestId), "utf8").catch(() => "");
}

/** Waits until the guest has counted at least `more` further than now. */
export async function countsOn(driver: Hypervisor, guestId: GuestId, more = 3): Promise<void> {
	const before = (await readCounts(driver, guestId)).at(-1) ?? 0;
	await until(
		async () => ((await readCounts(driver, guestId)).at(-1) ?? 0) >= before + more,
		`guest ${guestId} counts on from ${before}`,
	);
}

/** Waits for the thing itself. The deadline is for a busy machine; when all is well nobody waits for it. */
export async function until(met: () => Promise<boolean>, what: string, deadlineMs = 60_000): Promise<void> {
	const deadline = Date.now() + deadlineMs;
	while (!(await met())) {
		if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
		await delay(10);
	}
}

/** Collects a driver's events from now on. */
export function collectEvents(driver: Hypervisor): HypervisorEvent[] {
	const events: HypervisorEvent[] = [];
	driver.onEvent((event) => events.push(event));
	return events;
}
