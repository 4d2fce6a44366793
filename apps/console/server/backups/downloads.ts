import { createHash, randomBytes } from "node:crypto";
import { mkdir, rm, statfs } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { basename, join } from "node:path";
import { asSternaError, type ErrorCode, SternaError } from "@sterna/shared/errors";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import { GiB } from "@sterna/shared/units";
import type { Session } from "../context.ts";
import type { Catalogue } from "./catalogue.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import type { Repositories } from "./repositories.ts";
import { Spool, SpoolBudget } from "./spool.ts";
import { drained } from "./spool-drain.ts";

/** One file inside a recovery point. */
export interface FileInPoint {
	id: PointId;
	volumeId: VolumeId;
	device: string;
	path: string;
}

interface Ticket extends FileInPoint {
	userId: string;
	sessionId: string;
	expiresAt: number;
}

const validMs = 60_000;
const maxOpen = 1000;
/** What may wait on the console's disk for slow browsers, of all downloads together. */
const maxGatheredBytes = 8 * GiB;

const statusOf: Partial<Record<ErrorCode, number>> = { not_found: 404, no_capacity: 507 };

/**
 * Files of guests' disks on their way to a browser. A ticket is good once, for the session that asked for it. What comes
 * from the agent is gathered on the disk of this console first, at the agent's pace, and read from there at the browser's:
 * a browser on a slow line must not hold up the agent's other reports, nor fill this process's memory, nor the disk.
 */
export class Downloads {
	readonly #parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue };
	readonly #folder: string;
	readonly #tickets = new Map<string, Ticket>();
	readonly #budget = new SpoolBudget(maxGatheredBytes);

	constructor(parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue }, folder: string) {
		this.#parts = parts;
		this.#folder = folder;
	}

	/** What a killed console left half gathered is of no use to anybody. */
	async clear(): Promise<void> {
		await rm(this.#folder, { recursive: true, force: true });
		await mkdir(this.#folder, { recursive: true, mode: 0o700 });
	}

	async issue(
		file: FileInPoint,
		session: { userId: string; sessionId: string; actor: string },
	): Promise<{ url: string; expiresAt: number }> {
		const { core, catalogue } = this.#parts;
		const point = await catalogue.get(file.id);
		const now = core.now();
		for (const [hash, { expiresAt }] of this.#tickets) if (expiresAt <= now) this.#tickets.delete(hash);
		if (this.#tickets.size >= maxOpen) throw new SternaError("unavailable", "too many downloads are being opened");
		const ticket = randomBytes(32).toString("base64url");
		const { userId, sessionId, actor } = session;
		this.#tickets.set(hashOf(ticket), { ...file, userId, sessionId, expiresAt: now + validMs });
		await core.events.append({
			...{ kind: "point.fileRead", actor, sentence: `${actor} took a file out of a backup of ${point.guestName}` },
			objects: [
				{ type: "point", id: point.id, name: point.guestName },
				{ type: "guest", id: point.guestId, name: point.guestName },
			],
			evidence: { device: file.device, path: file.path },
		});
		return { url: `/api/files/${ticket}`, expiresAt: now + validMs };
	}

	/** Answers with the file: never rendered, never cached. The ticket is used up also when it is then refused. */
	async answer(ticket: string, session: Session | null, response: ServerResponse): Promise<void> {
		const hash = hashOf(ticket);
		const held = this.#tickets.get(hash);
		this.#tickets.delete(hash);
		const isTheirs =
			held &&
			session &&
			held.userId === session.user.userId &&
			held.sessionId === session.id &&
			session.user.role !== "viewer";
		if (!isTheirs || held.expiresAt <= this.#parts.core.now()) {
			response
				.writeHead(403, { "content-type": "text/plain; charset=utf-8" })
				.end("this link does not open anything; ask for the file again");
			return;
		}
		await this.#stream(held, session.user.name, response);
	}

	async #stream({ path, ...file }: Ticket, actor: string, response: ServerResponse): Promise<void> {
		const { hub, reach, repositories, catalogue, core } = this.#parts;
		const stop = new AbortController();
		response.once("close", () => stop.abort());
		const spool = new Spool(join(this.#folder, randomBytes(16).toString("hex")), await this.#sharedBudget());
		try {
			const point = await catalogue.get(file.id);
			const entry = repositories.get(point.repositoryId);
			const { volumeId, device } = file;
			const input = { access: repositories.accessOf(entry), pointId: point.id, volumeId, device, path };
			const onItem = ({ data }: { data: string }) => {
				if (!spool.append(Buffer.from(data, "base64"))) stop.abort();
			};
			hub.stream(reach.anyHost(entry), "files.read", input, { signal: stop.signal, onItem }).then(
				() => spool.end(),
				(thrown) => spool.fail(asSternaError(thrown)),
			);
			await send(spool, response, basename(path));
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (!response.destroyed) await this.#tellBroken({ path, ...file }, actor, error);
			// A download that breaks off must not look complete.
			if (response.headersSent) response.destroy();
			else
				response
					.writeHead(statusOf[error.code] ?? 503, { "content-type": "text/plain; charset=utf-8" })
					.end([error.message, ...(error.cure ? [error.cure] : [])].join("; "));
		} finally {
			stop.abort();
			// Best effort: what is left is removed when the console starts again.
			await spool.close().catch((err) => core.log.warn({ err }, "a gathered file was not removed"));
		}
	}

	/** Half of what the console's disk has free at the most: its database lives there too. */
	async #sharedBudget(): Promise<SpoolBudget> {
		const { bavail, bsize } = await statfs(this.#folder);
		this.#budget.limitBytes = Math.min(maxGatheredBytes, (this.#budget.usedBytes + bavail * bsize) / 2);
		return this.#budget;
	}

	/** A browser shows only that its download broke off: the reason is in the log of events. */
	async #tellBroken({ id, device, path }: FileInPoint, actor: string, error: SternaError): Promise<void> {
		const { core } = this.#parts;
		core.log.warn({ err: error, pointId: id }, "file not sent");
		if (error.code === "not_found") return;
		await core.events
			.append({
				...{ kind: "point.fileNotSent", actor, objects: [{ type: "point", id, name: basename(path) }] },
				...{ sentence: `A file out of a backup did not reach ${actor} whole`, why: error.message },
				evidence: { device, path },
			})
			.catch((err) => core.log.error({ err }, "a broken download was not told"));
	}
}

/** Sends what the spool gives, at the browser's pace. The headers go out with the first bytes: a refusal is an answer of its own. */
async function send(spool: Spool, response: ServerResponse, name: string): Promise<void> {
	for await (const piece of spool.pieces()) {
		if (!response.headersSent) response.writeHead(200, downloadHeaders(name));
		if (!response.write(piece)) await drained(response, spool.failed);
	}
	if (!response.headersSent) response.writeHead(200, downloadHeaders(name));
	response.end();
}

/** Item 38: what comes out of a guest's disk is a file to keep, whatever it says that it is. */
export function downloadHeaders(name: string): Record<string, string> {
	const plain = name.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 200) || "file";
	const encoded = encodeURIComponent(name.toWellFormed()).replace(
		/['()*]/g,
		(sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
	);
	return {
		"content-type": "application/octet-stream",
		"content-disposition": `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`,
		"x-content-type-options": "nosniff",
		"content-security-policy": "default-src 'none'; sandbox",
		"cache-control": "no-store",
	};
}

function hashOf(ticket: string): string {
	return createHash("sha256").update(ticket).digest("hex");
}
