import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { HostId, RepositoryId } from "@sterna/shared/ids";
import type { BackupParts } from "./parts.ts";
import type { Repositories, RepositoryEntry } from "./repositories.ts";

/** How a host stands to a repository: folders of the same name on two hosts need not be the same place. */
interface Sight {
	reached: boolean;
	/** Why not; null when it gets there. */
	because: string | null;
	at: number;
	/** How long the look took; 0 where none was needed. */
	tookMs: number;
}

const askAgainMs = 10 * 60_000;
const askAgainAfterFailureMs = 30_000;
/** What a task has changed is looked at soon, but not once for each of a night's backups, nor most of the time. */
const askAgainAfterChangeMs = 2_000;
const longestShareOfLooking = 0.1;
const probeTimeoutMs = 60_000;
const probesAtOnce = 4;
const patienceMs = 5000;

/** Which hosts get to which repositories. Found out by opening it there, and again from time to time. */
export class Reach {
	readonly #parts: BackupParts;
	readonly #repositories: Repositories;
	readonly #sights = new Map<string, Sight>();
	readonly #asking = new Map<string, Promise<void>>();
	/** Hosts that have changed what a repository holds since they last told how much that is. */
	readonly #changed = new Set<string>();
	/** How often each host has gone: what it was asked before says nothing about it after. */
	readonly #departures = new Map<HostId, number>();
	/** A repository's usage is news: its points may not be those of the catalogue. */
	readonly #onUsage: (entry: RepositoryEntry) => void;

	constructor(parts: BackupParts, repositories: Repositories, onUsage: (entry: RepositoryEntry) => void) {
		this.#parts = parts;
		this.#repositories = repositories;
		this.#onUsage = onUsage;
	}

	/** Connected hosts that get to it, as of the last look. */
	hostsOf(entry: RepositoryEntry): HostId[] {
		return this.#parts.hub.connectedHosts().filter((hostId) => this.#sights.get(keyOf(hostId, entry.id))?.reached);
	}

	/** Why a host cannot work with it now; null when it can. */
	obstacle(hostId: HostId, entry: RepositoryEntry): string | null {
		const sight = this.#sights.get(keyOf(hostId, entry.id));
		const host = this.#parts.core.inventory.hostName(hostId);
		if (!sight) return `whether ${host} reaches the repository ${entry.name} is being found out`;
		return sight.because && `${host} does not reach the repository ${entry.name}: ${sight.because}`;
	}

	/** Any host that gets to it. @throws {SternaError} `unavailable`. */
	anyHost(entry: RepositoryEntry): HostId {
		const [hostId] = this.hostsOf(entry);
		if (hostId) return hostId;
		throw new SternaError("unavailable", `no connected host reaches the repository ${entry.name}`, {
			cure: this.whyNobody(entry) ?? "look at the hosts that should reach it",
		});
	}

	/** What stands in the way where nobody gets to it; null while a host does or it is not known yet. */
	whyNobody(entry: RepositoryEntry): string | null {
		if (this.hostsOf(entry).length > 0) return null;
		const unreadable = this.#unreadable(entry);
		if (unreadable) return unreadable;
		const hosts = this.#repositories.hostsThatOffer(this.#repositories.accessOf(entry).place);
		if (hosts.length === 0) return `no connected host offers its place (${entry.placeText})`;
		const reasons = hosts.map((hostId) => this.#sights.get(keyOf(hostId, entry.id))?.because);
		return reasons.find((because) => because !== null && because !== undefined) ?? null;
	}

	/** Looks again where the last look is old. Never more than a few at once; not waited for by the caller's round. */
	async tick(): Promise<void> {
		for (const entry of this.#repositories.all()) {
			// A key that this console cannot read any more is told by the repository's health, and hinders no other.
			if (this.#unreadable(entry)) continue;
			const { place } = this.#repositories.accessOf(entry);
			const offering = new Set(this.#repositories.hostsThatOffer(place));
			for (const hostId of this.#parts.hub.connectedHosts()) {
				if (!offering.has(hostId)) this.#see(hostId, entry, `it offers no folder ${"name" in place ? place.name : ""}`);
				else if (this.#isDue(hostId, entry) && this.#asking.size < probesAtOnce) void this.probe(hostId, entry);
			}
		}
	}

	/** The host has added to the repository, or removed from it: what it holds is asked for again soon. */
	changed(hostId: HostId, entry: Pick<RepositoryEntry, "id">): void {
		this.#changed.add(keyOf(hostId, entry.id));
	}

	/** Opens the repository at that host and notes what it holds. Asked twice at once, it is opened once. */
	probe(hostId: HostId, entry: RepositoryEntry): Promise<void> {
		const key = keyOf(hostId, entry.id);
		const asking = this.#asking.get(key) ?? this.#probe(hostId, entry).finally(() => this.#asking.delete(key));
		this.#asking.set(key, asking);
		return asking;
	}

	async #probe(hostId: HostId, entry: RepositoryEntry): Promise<void> {
		const departures = this.#departures.get(hostId);
		const { now } = this.#parts.core;
		const beganAt = now();
		this.#changed.delete(keyOf(hostId, entry.id));
		try {
			await this.#repositories.settleKey(entry, hostId);
			const access = this.#repositories.accessOf(entry);
			const usage = await this.#parts.hub.call(hostId, "repository.inspect", { access }, { timeoutMs: probeTimeoutMs });
			this.#see(hostId, entry, null, now() - beganAt);
			await this.#repositories.setUsage(entry, usage);
			this.#onUsage(entry);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#parts.core.log.info({ err: error, hostId, repositoryId: entry.id }, "repository not reached");
			if (this.#departures.get(hostId) === departures) this.#see(hostId, entry, error.message);
		}
	}

	/** Fulfilled when every connected host was looked from at least once, or after a few seconds: what follows is decided by what is known. */
	async known(entry: RepositoryEntry): Promise<void> {
		const hosts = this.#repositories.hostsThatOffer(this.#repositories.accessOf(entry).place);
		const unseen = hosts.filter((hostId) => !this.#sights.has(keyOf(hostId, entry.id)));
		if (unseen.length === 0) return;
		let timer: NodeJS.Timeout | undefined;
		const patience = new Promise<void>((resolve) => {
			timer = setTimeout(resolve, patienceMs);
		});
		await Promise.race([Promise.all(unseen.map((hostId) => this.probe(hostId, entry))), patience]);
		clearTimeout(timer);
	}

	/** Looks at a new repository from every host that offers its place. Fulfilled when one gets there, or all have failed. */
	async welcome(entry: RepositoryEntry): Promise<void> {
		const hosts = this.#repositories.hostsThatOffer(this.#repositories.accessOf(entry).place);
		const probes = hosts.map(async (hostId) => {
			await this.probe(hostId, entry);
			if (this.obstacle(hostId, entry) !== null) throw new SternaError("unavailable", "not reached from there");
		});
		await Promise.any(probes).catch(() => {});
	}

	/** What was known of the host says nothing after it was gone: its mounts may have changed. */
	forget(hostId: HostId): void {
		this.#departures.set(hostId, (this.#departures.get(hostId) ?? 0) + 1);
		for (const key of this.#sights.keys()) if (key.startsWith(`${hostId} `)) this.#sights.delete(key);
	}

	#unreadable(entry: RepositoryEntry): string | null {
		try {
			this.#repositories.accessOf(entry);
			return null;
		} catch (thrown) {
			return asSternaError(thrown).message;
		}
	}

	#isDue(hostId: HostId, entry: RepositoryEntry): boolean {
		const sight = this.#sights.get(keyOf(hostId, entry.id));
		if (!sight) return true;
		const usualMs = sight.reached ? askAgainMs : askAgainAfterFailureMs;
		const soonMs = Math.min(usualMs, Math.max(askAgainAfterChangeMs, sight.tookMs / longestShareOfLooking));
		const afterMs = this.#changed.has(keyOf(hostId, entry.id)) ? soonMs : usualMs;
		// A real clock: the demo's offset must not make every host be asked at once, nor never again.
		return Math.abs(this.#parts.core.now() - sight.at) > afterMs;
	}

	#see(hostId: HostId, { id }: RepositoryEntry, because: string | null, tookMs = 0): void {
		const former = this.#sights.get(keyOf(hostId, id));
		this.#sights.set(keyOf(hostId, id), { reached: because === null, because, at: this.#parts.core.now(), tookMs });
		if (former?.reached !== (because === null))
			this.#parts.core.changes.touch("repositories", `repository:${id}`, "overview");
	}
}

const keyOf = (hostId: HostId, repositoryId: RepositoryId) => `${hostId} ${repositoryId}`;
