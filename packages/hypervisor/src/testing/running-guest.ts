import { join } from "node:path";
import type { ChangeBitmap, EndSnapshot, Hypervisor, SnapshotReport, StartRequest } from "../hypervisor.ts";
import { makeQemuUnderTest, type QemuUnderTest } from "./qemu-bench.ts";
import { countsOn, Site } from "./site.ts";

/** A guest that runs under QEMU and counts, of which snapshots are taken, in one life of its driver after the other. */
export class RunningGuest {
	readonly underTest: QemuUnderTest;
	readonly request: StartRequest;
	readonly #site: Site;
	#driver: Hypervisor;

	private constructor(options: { underTest: QemuUnderTest; site: Site; driver: Hypervisor; request: StartRequest }) {
		this.underTest = options.underTest;
		this.request = options.request;
		this.#site = options.site;
		this.#driver = options.driver;
	}

	static async open(): Promise<RunningGuest> {
		const underTest = await makeQemuUnderTest();
		const site = new Site(underTest);
		const driver = site.open("a");
		const request = await site.newGuest(driver);
		await driver.start(request);
		const guest = new RunningGuest({ underTest, site, driver, request });
		await guest.countsOn();
		return guest;
	}

	get driver(): Hypervisor {
		return this.#driver;
	}

	countsOn(): Promise<void> {
		return countsOn(this.#driver, this.request.spec.id);
	}

	/** The driver ends, and the next one takes the guest over. */
	async newLife(): Promise<void> {
		await this.#driver.close();
		this.#driver = this.#site.open("a");
		await this.#driver.adopt();
	}

	/** A snapshot as the driver is asked for it. */
	wanted(mark: string, since: string | null, scratchFolder = this.underTest.folder) {
		const scratchPath = join(scratchFolder, "scratch");
		const volumes = this.request.volumes.map((volume) => ({ ...volume, since, scratchPath }));
		return { guestId: this.request.spec.id, mark, volumes };
	}

	take(mark: string, since: string | null, scratchFolder?: string): Promise<SnapshotReport> {
		return this.#driver.takeSnapshot({ ...this.wanted(mark, since, scratchFolder), freeze: false });
	}

	end(outcome: EndSnapshot["outcome"], mark: string, since: string | null = null, scratchFolder?: string) {
		return this.#driver.endSnapshot({ ...this.wanted(mark, since, scratchFolder), outcome });
	}

	async bitmaps(): Promise<readonly ChangeBitmap[]> {
		const [tracking] = await this.#driver.changeTracking(this.request.spec.id, this.request.volumes);
		return tracking?.bitmaps ?? [];
	}

	close(): Promise<void> {
		return this.#site.close();
	}
}
