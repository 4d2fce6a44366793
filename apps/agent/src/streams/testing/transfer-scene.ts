import { createHash, randomBytes, randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { HostId, newId, VolumeId } from "@sterna/shared/ids";
import { TestConsole } from "../../fixtures/test-console.ts";
import { frameHeader } from "../frame.ts";
import type { StreamIdentity, StreamTimes } from "../messages.ts";
import { openSourceTransfer, openTargetTransfer, type SourceTransfer, type TargetTransfer } from "../streams.ts";

/** A unix server in the place of QEMU on the receiving side: it says who came. */
interface FakeQemu {
	path: string;
	connections: Socket[];
	/** The first connection, now or when it comes. */
	next(): Promise<Socket>;
}

/** Two hosts of one console, and two that have no part in their transfers. */
export class TransferScene {
	readonly folder: string;
	/** Of this scene alone: other tests open and close ports at the same time. */
	readonly address = `127.${randomInt(10, 250)}.${randomInt(256)}.1`;
	readonly volumeId = newId(VolumeId);
	readonly sourceId = newId(HostId);
	readonly targetId = newId(HostId);
	readonly strangerId = newId(HostId);
	readonly times: StreamTimes;
	readonly #identities = new Map<"source" | "target" | "stranger" | "impostor", StreamIdentity>();
	readonly #undo: (() => unknown)[] = [];

	private constructor(folder: string, times: StreamTimes) {
		this.folder = folder;
		this.times = times;
	}

	static async open(times: Partial<StreamTimes> = {}): Promise<TransferScene> {
		const folder = await mkdtemp(join(tmpdir(), "sterna-streams-"));
		// Long for a busy machine: nobody waits for silence where it is not what is tested.
		const patient = { heartbeatMs: 100, silenceLimitMs: 30_000, ticketLifetimeMs: 30_000 };
		const scene = new TransferScene(folder, { ...patient, ...times });
		const [ours, foreign] = [await TestConsole.start(), await TestConsole.start()];
		const identityOf = async (console: TestConsole, hostId: HostId): Promise<StreamIdentity> => {
			const { key, cert, ca } = await console.host(hostId);
			return { key, certificate: cert, authority: ca };
		};
		scene.#identities.set("source", await identityOf(ours, scene.sourceId));
		scene.#identities.set("target", await identityOf(ours, scene.targetId));
		scene.#identities.set("stranger", await identityOf(ours, scene.strangerId));
		// The right host id, but another console's signature.
		scene.#identities.set("impostor", await identityOf(foreign, scene.sourceId));
		await Promise.all([ours.close(), foreign.close()]);
		return scene;
	}

	/** Ends what one test has opened. */
	async clear(): Promise<void> {
		for (const step of this.#undo.splice(0).reverse()) await step();
	}

	close(): Promise<void> {
		return rm(this.folder, { recursive: true, force: true });
	}

	identity(who: "source" | "target" | "stranger" | "impostor"): StreamIdentity {
		const identity = this.#identities.get(who);
		if (!identity) throw new Error(`${who} has no identity`);
		return identity;
	}

	async openTarget(times: Partial<StreamTimes> = {}) {
		const [memory, disk] = [await this.#fakeQemu("memory"), await this.#fakeQemu("disk")];
		const refused = Promise.withResolvers<string>();
		const target = await openTargetTransfer({
			identity: this.identity("target"),
			peerHostId: this.sourceId,
			listenAddress: this.address,
			portRange: { from: 21_000, to: 21_400 },
			memorySocket: memory.path,
			diskSocket: disk.path,
			copiedVolumes: [this.volumeId],
			onRefused: (reason) => refused.resolve(reason),
			times: { ...this.times, ...times },
		});
		this.#undo.push(() => target.destroy());
		return { target, memory, disk, refused: refused.promise };
	}

	async openSource(target: TargetTransfer, options: { port?: number; place?: string } = {}): Promise<SourceTransfer> {
		const source = await openSourceTransfer({
			...this.sourceOptions(target, join(options.place ?? this.folder, randomBytes(4).toString("hex"))),
			diskTickets: [{ volumeId: this.volumeId, ticket: target.diskTickets[this.volumeId] ?? "" }],
			...(options.port === undefined ? {} : { port: options.port }),
		});
		this.#undo.push(() => source.destroy());
		return source;
	}

	/** What the source needs to send memory alone. */
	sourceOptions(target: TargetTransfer, folder: string): Parameters<typeof openSourceTransfer>[0] {
		return {
			identity: this.identity("source"),
			peerHostId: this.targetId,
			address: this.address,
			port: target.port,
			memoryTicket: target.memoryTicket,
			diskTickets: [],
			folder,
			socketOwner: null,
			times: this.times,
		};
	}

	qemuConnects(path: string): Socket {
		const socket = connect({ path, allowHalfOpen: true });
		socket.on("error", () => {});
		this.#undo.push(() => socket.destroy());
		return socket;
	}

	/** A connection past the TLS handshake, without a ticket yet. */
	dialRaw(port: number, who: "source" | "stranger" | "impostor"): Promise<TLSSocket> {
		const identity = this.identity(who);
		return new Promise((resolve, reject) => {
			const tls = connectTls({
				host: this.address,
				port,
				key: identity.key,
				cert: identity.certificate,
				ca: identity.authority,
				checkServerIdentity: () => undefined,
				rejectUnauthorized: false,
			});
			tls.once("secureConnect", () => {
				tls.on("error", () => {});
				resolve(tls);
			});
			tls.once("error", reject);
			this.#undo.push(() => tls.destroy());
		});
	}

	refusesConnections(port: number): Promise<boolean> {
		return new Promise((resolve) => {
			const probe = connect(port, this.address);
			probe.once("connect", () => {
				probe.destroy();
				resolve(false);
			});
			probe.once("error", () => resolve(true));
		});
	}

	/** A way to a port; `swallow` has everything on it vanish from then on, without a word. */
	async layWay(port: number): Promise<{ port: number; swallow(): void }> {
		let swallows = false;
		const proxy = createServer((near) => {
			const far = connect(port, this.address);
			for (const [from, to] of [
				[near, far],
				[far, near],
			] as const) {
				from.on("data", (chunk) => swallows || to.write(chunk));
				from.on("error", () => {});
			}
			this.#undo.push(
				() => near.destroy(),
				() => far.destroy(),
			);
		});
		await new Promise<void>((resolve) => proxy.listen(0, this.address, resolve));
		this.#undo.push(() => proxy.close());
		const address = proxy.address();
		const swallow = () => {
			swallows = true;
		};
		return { port: typeof address === "object" && address ? address.port : 0, swallow };
	}

	async #fakeQemu(name: string): Promise<FakeQemu> {
		const path = join(this.folder, `${name}-${randomBytes(4).toString("hex")}.sock`);
		const connections: Socket[] = [];
		const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
			socket.on("error", () => {});
			connections.push(socket);
			server.emit("arrived", socket);
		});
		await new Promise<void>((resolve) => server.listen(path, resolve));
		this.#undo.push(() => {
			for (const socket of connections) socket.destroy();
			server.close();
		});
		return {
			path,
			connections,
			next: () =>
				new Promise((resolve) => {
					const first = connections[0];
					if (first) resolve(first);
					else server.once("arrived", resolve);
				}),
		};
	}
}

export function sendTicket(tls: TLSSocket, ticket: string): void {
	const bytes = Buffer.from(ticket, "base64url");
	tls.write(Buffer.concat([frameHeader("ticket", bytes.length), bytes]));
}

/** Fulfilled when the other side has closed it. */
export function closed(socket: Socket): Promise<void> {
	return new Promise((resolve) => {
		if (socket.closed) resolve();
		socket.once("close", () => resolve());
		socket.once("end", () => socket.destroy());
		socket.resume();
	});
}

/** Of all that comes until the end. */
export async function hashOf(socket: Socket): Promise<{ bytes: number; sha256: string }> {
	const hash = createHash("sha256");
	let bytes = 0;
	for await (const chunk of socket) {
		hash.update(chunk);
		bytes += chunk.length;
	}
	return { bytes, sha256: hash.digest("hex") };
}
