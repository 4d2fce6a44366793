import { createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { basename, join } from "node:path";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { PointId, VolumeId } from "@sterna/shared/ids";
import type { Session } from "../context.ts";
import type { Catalogue } from "./catalogue.ts";
import type { BackupParts } from "./parts.ts";
import type { Reach } from "./reach.ts";
import type { Repositories } from "./repositories.ts";

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
const chunkBytes = 256 * 1024;
const lookAgainMs = 100;

/**
 * Files of guests' disks on their way to a browser. A ticket is good once, for the session that asked for it. What comes
 * from the agent is gathered in a file of this console first, at the agent's pace, and read from there at the browser's:
 * a browser on a slow line must hold up neither the agent's other reports nor fill this process's memory.
 */
export class Downloads {
	readonly #parts: BackupParts & { repositories: Repositories; reach: Reach; catalogue: Catalogue };
	readonly #folder: string;
	readonly #tickets = new Map<string, Ticket>();

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
		await this.#stream(held, response);
	}

	async #stream({ path, ...file }: Ticket, response: ServerResponse): Promise<void> {
		const { hub, reach, repositories, catalogue, core } = this.#parts;
		const stop = new AbortController();
		response.once("close", () => stop.abort());
		const spool = join(this.#folder, randomBytes(16).toString("hex"));
		try {
			const point = await catalogue.get(file.id);
			const entry = repositories.get(point.repositoryId);
			const { volumeId, device } = file;
			const input = { access: repositories.accessOf(entry), pointId: point.id, volumeId, device, path };
			const gathering = this.#gather(spool, stop.signal, (onItem) =>
				hub.stream(reach.anyHost(entry), "files.read", input, { signal: stop.signal, onItem }),
			);
			await sendWhileGathered(spool, gathering, response, basename(path));
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (!stop.signal.aborted) core.log.warn({ err: error, pointId: file.id }, "file not sent");
			// A download that breaks off must not look complete.
			if (response.headersSent) response.destroy();
			else
				response
					.writeHead(error.code === "not_found" ? 404 : 503, { "content-type": "text/plain; charset=utf-8" })
					.end(error.message);
		} finally {
			stop.abort();
			await rm(spool, { force: true });
		}
	}

	/** Writes what the agent sends; `size` grows as it does. */
	#gather(
		spool: string,
		signal: AbortSignal,
		follow: (onItem: (item: { data: string }) => void) => Promise<void>,
	): { size: number; done: Promise<void>; isOver: boolean } {
		const writer = createWriteStream(spool, { mode: 0o600, signal });
		const written = new Promise<void>((resolve, reject) => writer.once("finish", resolve).once("error", reject));
		const state = { size: 0, isOver: false, done: Promise.resolve() };
		const append = ({ data }: { data: string }) => {
			const bytes = Buffer.from(data, "base64");
			writer.write(bytes, (error) => {
				if (!error) state.size += bytes.length;
			});
		};
		state.done = follow(append)
			.then(() => {
				writer.end();
				return written;
			})
			.finally(() => {
				state.isOver = true;
				writer.destroy();
			});
		written.catch(() => {});
		state.done.catch(() => {});
		return state;
	}
}

/** Sends the file from its beginning, as far as it is there, until all of it is. The headers go out with the first bytes. */
async function sendWhileGathered(
	spool: string,
	gathering: { size: number; done: Promise<void>; isOver: boolean },
	response: ServerResponse,
	name: string,
): Promise<void> {
	// Nothing is sent before something came: an agent that refuses becomes an answer of its own.
	while (gathering.size === 0 && !gathering.isOver) await pause(gathering.done);
	if (gathering.isOver) await gathering.done;
	response.writeHead(200, downloadHeaders(name));
	const file = await open(spool, "r");
	try {
		const chunk = Buffer.alloc(chunkBytes);
		for (let position = 0; ; ) {
			const over = gathering.isOver;
			const { bytesRead } = await file.read(chunk, 0, Math.min(chunkBytes, gathering.size - position), position);
			if (bytesRead > 0) {
				position += bytesRead;
				if (!response.write(Buffer.from(chunk.subarray(0, bytesRead)))) await drained(response);
			} else if (over) break;
			else await pause(gathering.done);
		}
		await gathering.done;
		response.end();
	} finally {
		await file.close();
	}
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

function pause(done: Promise<void>): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, lookAgainMs);
		const wake = () => {
			clearTimeout(timer);
			resolve();
		};
		done.then(wake, wake);
	});
}

function drained(response: ServerResponse): Promise<void> {
	if (response.destroyed) throw new SternaError("cancelled", "the browser has gone");
	return new Promise((resolve, reject) => {
		response.once("drain", resolve);
		response.once("close", () => reject(new SternaError("cancelled", "the browser has gone")));
	});
}

function hashOf(ticket: string): string {
	return createHash("sha256").update(ticket).digest("hex");
}
