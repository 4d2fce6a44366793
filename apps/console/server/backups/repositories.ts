import { randomBytes } from "node:crypto";
import {
	RepositoryAccess,
	type RepositoryDamage,
	RepositoryKey,
	type RepositoryPlace,
	type RepositoryUsage,
} from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type HostId, newId, RepositoryId } from "@sterna/shared/ids";
import { formatRepositoryKey, parseRepositoryKey, repositoryKeyBytes } from "@sterna/shared/repository-key";
import { asc, eq } from "drizzle-orm";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { isUnheard } from "../guests/existence.ts";
import type { RepositoryCreated } from "../views-backups.ts";
import type { BackupParts } from "./parts.ts";

export type RepositoryEntry = typeof tables.repositories.$inferSelect;

const openTimeoutMs = 60_000;
/** Sunday at four: when the least is going on, and a week finds what a month would let grow. */
const defaultScrub = { cron: "0 4 * * 0", timeZone: "UTC" };

/** The repositories that the console knows, with their sealed keys. The database first, this copy after. */
export class Repositories {
	readonly #parts: BackupParts;
	readonly #entries = new Map<RepositoryId, RepositoryEntry>();
	/** When the last one who asked for a repository's keys is done with them. */
	readonly #keyTurns = new Map<RepositoryId, Promise<void>>();

	constructor(parts: BackupParts) {
		this.#parts = parts;
	}

	async load(): Promise<void> {
		const rows = await this.#parts.core.db.select().from(tables.repositories).orderBy(asc(tables.repositories.name));
		for (const row of rows) this.#entries.set(row.id, row);
	}

	all(): RepositoryEntry[] {
		return [...this.#entries.values()];
	}

	/** @throws {SternaError} `not_found`. */
	get(id: string): RepositoryEntry {
		const entry = this.#entries.get(id as RepositoryId);
		if (!entry) throw new SternaError("not_found", `there is no repository ${id}`);
		return entry;
	}

	nameOf(id: RepositoryId): string {
		return this.#entries.get(id)?.name ?? "a former repository";
	}

	/** Everything an agent needs to open it. Never logged, never shown. */
	accessOf(entry: RepositoryEntry): RepositoryAccess {
		return RepositoryAccess.parse(JSON.parse(this.#parts.vault.unseal(entry.sealedAccess, sealOf(entry.id))));
	}

	/**
	 * Makes a repository in an empty place and answers with its recovery key, this once.
	 * @throws {SternaError} `conflict` for a taken name or place; `unavailable` when no host gets there.
	 */
	async create(request: { name: string; place: RepositoryPlace }, actor: string): Promise<RepositoryCreated> {
		const { hub, core } = this.#parts;
		const repositoryId = newId(RepositoryId);
		const recoveryKey = await freshKey();
		const access = { repositoryId, place: request.place, key: recoveryKey };
		const [hostId] = this.hostsThatOffer(request.place);
		if (!hostId) throw nobodyThere(request.place);
		// Recorded first: were the console killed now, the key of what the agent makes would be lost.
		const entry = await this.#record({ name: request.name, access, keyConfirmedAt: null }, actor);
		try {
			const usage = await hub
				.call(hostId, "repository.create", { access }, { timeoutMs: openTimeoutMs })
				.catch((thrown) =>
					isUnheard(asSternaError(thrown))
						? hub.call(hostId, "repository.inspect", { access }, { timeoutMs: openTimeoutMs })
						: Promise.reject(thrown),
				);
			await this.setUsage(entry, usage);
		} catch (thrown) {
			await this.#drop(entry);
			throw thrown;
		}
		await this.#tell(
			entry,
			"repository.created",
			actor,
			`${actor} made the repository ${entry.name}: ${entry.placeText}`,
			{
				host: core.inventory.hostName(hostId),
			},
		);
		return { id: repositoryId, recoveryKey };
	}

	/**
	 * Opens a repository that is there already.
	 * @throws {SternaError} `not_found` where there is none; `forbidden` for a wrong or replaced key; `conflict` when the console knows it.
	 */
	async attach(
		request: { name: string; place: RepositoryPlace; key: string },
		actor: string,
	): Promise<RepositoryEntry> {
		const { hub } = this.#parts;
		await parseRepositoryKey(request.key);
		let failure: unknown = nobodyThere(request.place);
		for (const hostId of this.hostsThatOffer(request.place)) {
			try {
				const { repositoryId } = await hub.call(
					hostId,
					"repository.identify",
					{ place: request.place },
					{ timeoutMs: openTimeoutMs },
				);
				const known = this.#entries.get(repositoryId);
				if (known) throw new SternaError("conflict", `the console knows this repository already, as ${known.name}`);
				const access = { repositoryId, place: request.place, key: request.key };
				const usage = await hub.call(hostId, "repository.inspect", { access }, { timeoutMs: openTimeoutMs });
				const entry = await this.#record({ name: request.name, access, keyConfirmedAt: this.#parts.core.now() }, actor);
				await this.setUsage(entry, usage);
				await this.#tell(
					entry,
					"repository.attached",
					actor,
					`${actor} attached the repository ${entry.name}: ${entry.placeText}`,
					{
						points: usage.points,
					},
				);
				return entry;
			} catch (thrown) {
				failure = thrown;
				if (!["not_found", "host_offline", "timeout"].includes(asSternaError(thrown).code)) break;
			}
		}
		throw failure;
	}

	/** @throws {SternaError} `invalid` when what was typed is not the key: it was not written down, or wrongly. */
	async confirmKey(entry: RepositoryEntry, typed: string, actor: string): Promise<void> {
		const { key } = this.accessOf(entry);
		if (typed !== key && !(typed.length === 8 && key.endsWith(typed))) {
			throw new SternaError("invalid", "this is not the repository's recovery key, nor its last eight characters", {
				cure: "look at what was written down; if it is lost, replace the key",
			});
		}
		await this.change(entry, { keyConfirmedAt: this.#parts.core.now() });
		await this.#tell(entry, "repository.keyConfirmed", actor, `${actor} has the recovery key of ${entry.name}`);
	}

	/**
	 * A new recovery key; the old one opens nothing from then on.
	 * @throws what the agent says; which key counts then is found out by `settleKey`.
	 */
	replaceKey(entry: RepositoryEntry, hostId: HostId, actor: string): Promise<RepositoryCreated> {
		return this.#keysInTurn(entry, () => this.#replaceKey(entry, hostId, actor));
	}

	/**
	 * Finds out which key counts after a replacement that did not say so.
	 * @throws what the agent says; both keys are kept then.
	 */
	async settleKey(entry: RepositoryEntry, hostId: HostId): Promise<void> {
		if (entry.sealedNextKey) await this.#keysInTurn(entry, () => this.#settleKey(entry, hostId));
	}

	async #replaceKey(entry: RepositoryEntry, hostId: HostId, actor: string): Promise<RepositoryCreated> {
		const { hub, vault } = this.#parts;
		await this.#settleKey(entry, hostId);
		const access = this.accessOf(entry);
		const newKey = await freshKey();
		// Kept before the agent writes it, and whatever it answers: this may be the only key that opens the repository.
		await this.change(entry, { sealedNextKey: vault.seal(newKey, sealOf(entry.id)) });
		await hub.call(hostId, "repository.replaceKey", { access, newKey }, { timeoutMs: openTimeoutMs });
		await this.#useNextKey(entry);
		await this.#tell(
			entry,
			"repository.keyReplaced",
			actor,
			`${actor} replaced the recovery key of ${entry.name}; the old one opens nothing`,
		);
		return { id: entry.id, recoveryKey: newKey };
	}

	async #settleKey(entry: RepositoryEntry, hostId: HostId): Promise<void> {
		if (!entry.sealedNextKey) return;
		const { hub, vault } = this.#parts;
		const present = this.accessOf(entry);
		const key = RepositoryKey.parse(vault.unseal(entry.sealedNextKey, sealOf(entry.id)));
		const inspect = (access: RepositoryAccess) =>
			hub.call(hostId, "repository.inspect", { access }, { timeoutMs: openTimeoutMs });
		try {
			await inspect({ ...present, key });
		} catch (thrown) {
			if (asSternaError(thrown).code !== "forbidden") throw thrown;
			// A bucket says `forbidden` also for a wrong clock or missing rights: only that the present key opens is a proof.
			await inspect(present);
			await this.change(entry, { sealedNextKey: null });
			return;
		}
		await this.#useNextKey(entry);
	}

	/** One look or change at a time at a repository's keys: the next key of one replacement is not another's. */
	#keysInTurn<Result>({ id }: RepositoryEntry, task: () => Promise<Result>): Promise<Result> {
		const turn = (this.#keyTurns.get(id) ?? Promise.resolve()).then(task);
		const over = turn.then(
			() => {},
			() => {},
		);
		this.#keyTurns.set(id, over);
		return turn;
	}

	async setScrub(
		entry: RepositoryEntry,
		{ cron, timeZone }: { cron: string; timeZone: string },
		actor: string,
	): Promise<void> {
		await this.change(entry, { scrubCron: cron, scrubTimeZone: timeZone, scrubSeenAt: this.#parts.clock.now() });
		await this.#tell(
			entry,
			"repository.changed",
			actor,
			`${actor} set the scrub of ${entry.name} to ${cron}, ${timeZone}`,
		);
	}

	/** Forgets it; nothing in it is deleted. The caller has made sure that nothing uses it. */
	async remove(entry: RepositoryEntry, actor: string): Promise<void> {
		await this.#drop(entry);
		await this.#tell(
			entry,
			"repository.removed",
			actor,
			`${actor} removed the repository ${entry.name} from the console; nothing in it was deleted`,
		);
	}

	/** What it holds now; one sample a day is kept. */
	async setUsage(entry: RepositoryEntry, usage: RepositoryUsage): Promise<void> {
		const { core, clock } = this.#parts;
		const day = new Date(clock.now()).toISOString().slice(0, 10);
		await core.db
			.insert(tables.repositoryUsage)
			.values({ repositoryId: entry.id, day, usage })
			.onConflictDoUpdate({
				target: [tables.repositoryUsage.repositoryId, tables.repositoryUsage.day],
				set: { usage },
			});
		await this.change(entry, { usage });
	}

	async setDamages(entry: RepositoryEntry, damages: RepositoryDamage[]): Promise<void> {
		await this.change(entry, { damages });
	}

	async change(entry: RepositoryEntry, values: Partial<RepositoryEntry>): Promise<void> {
		const { core } = this.#parts;
		await core.db.update(tables.repositories).set(values).where(eq(tables.repositories.id, entry.id));
		Object.assign(entry, values);
		core.changes.touch("repositories", `repository:${entry.id}`, "overview");
	}

	/** Connected hosts that have the place: the folder by its name, or any for a bucket. */
	hostsThatOffer(place: RepositoryPlace) {
		const { core, hub } = this.#parts;
		return [...core.inventory.hosts.values()]
			.filter(({ id, facts }) => hub.isConnected(id) && facts !== null && offers(facts.repositoryFolders, place))
			.map(({ id }) => id);
	}

	async #useNextKey(entry: RepositoryEntry): Promise<void> {
		if (!entry.sealedNextKey) throw new SternaError("internal", `there is no next key of ${entry.name} to use`);
		const { vault } = this.#parts;
		const key = RepositoryKey.parse(vault.unseal(entry.sealedNextKey, sealOf(entry.id)));
		const sealedAccess = vault.seal(JSON.stringify({ ...this.accessOf(entry), key }), sealOf(entry.id));
		await this.change(entry, { sealedAccess, sealedNextKey: null, keyConfirmedAt: null });
	}

	async #record(
		{ name, access, keyConfirmedAt }: { name: string; access: RepositoryAccess; keyConfirmedAt: number | null },
		actor: string,
	): Promise<RepositoryEntry> {
		const { core, vault, clock } = this.#parts;
		const { repositoryId: id, place } = access;
		const row = await core.db
			.insert(tables.repositories)
			.values({
				...{ id, name, kind: place.kind, placeText: placeText(place), keyConfirmedAt },
				...{
					sealedAccess: vault.seal(JSON.stringify(access), sealOf(id)),
					lockDays: place.kind === "s3" ? place.lockDays : 0,
				},
				...{ scrubCron: defaultScrub.cron, scrubTimeZone: defaultScrub.timeZone, scrubSeenAt: clock.now() },
				...{ createdAt: core.now(), createdBy: actor },
			})
			.returning()
			.catch((thrown) => {
				if (isTaken(thrown))
					throw new SternaError("conflict", `there is a repository named ${name} already`, {
						cure: "choose another name",
					});
				throw thrown;
			});
		const [entry] = row;
		if (!entry) throw new SternaError("internal", "the repository was not recorded");
		this.#entries.set(id, entry);
		core.changes.touch("repositories", "overview");
		return entry;
	}

	async #drop(entry: RepositoryEntry): Promise<void> {
		const { core } = this.#parts;
		await core.db.delete(tables.repositories).where(eq(tables.repositories.id, entry.id));
		this.#entries.delete(entry.id);
		core.changes.touch("repositories", "overview");
	}

	#tell(entry: RepositoryEntry, kind: string, actor: string, sentence: string, evidence?: unknown): Promise<void> {
		const objects = [{ type: "repository" as const, id: entry.id, name: entry.name }];
		return this.#parts.core.events.append({ kind, actor, objects, sentence, ...(evidence ? { evidence } : {}) });
	}
}

/**
 * Backups that nobody can open are none: neither a job nor a person begins one before somebody has proved to have the key.
 * What was begun before goes on, also when the key is replaced: a backup that is not made helps nobody.
 * @throws {SternaError} `wrong_state`.
 */
export function refuseUnconfirmed({ name, keyConfirmedAt }: Pick<RepositoryEntry, "name" | "keyConfirmedAt">): void {
	if (keyConfirmedAt !== null) return;
	throw new SternaError("wrong_state", `the recovery key of ${name} is not confirmed: nobody has proved to have it`, {
		cure: "type the key back on the repository's page; if it is lost, replace it",
	});
}

/** `folder backups`, `bucket sterna at s3.example`. */
export function placeText(place: RepositoryPlace): string {
	return place.kind === "directory"
		? `folder ${place.name}`
		: `bucket ${place.bucket}${place.prefix ? `, ${place.prefix}` : ""} at ${new URL(place.endpoint).host}`;
}

function offers(folders: readonly { name: string }[], place: RepositoryPlace): boolean {
	return place.kind === "s3" || folders.some(({ name }) => name === place.name);
}

function nobodyThere(place: RepositoryPlace): SternaError {
	return place.kind === "directory"
		? new SternaError("unavailable", `no connected host offers a folder ${place.name} for backups`, {
				cure: "name the folder in a host's configuration, or connect the host that has it",
			})
		: new SternaError("unavailable", "no host is connected that could reach the bucket", { cure: "connect a host" });
}

const sealOf = (id: RepositoryId) => `repository ${id}`;

function freshKey(): Promise<string> {
	return formatRepositoryKey(new Uint8Array(randomBytes(repositoryKeyBytes)));
}
