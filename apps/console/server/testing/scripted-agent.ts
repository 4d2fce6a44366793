import "reflect-metadata";
import { request as httpsRequest } from "node:https";
import { Pkcs10CertificateRequestGenerator } from "@peculiar/x509";
import type { BackupReport, RestoreReport, UpkeepReport } from "@sterna/shared/backup";
import type { SternaError } from "@sterna/shared/errors";
import type { GuestReport } from "@sterna/shared/guest";
import type { Finding } from "@sterna/shared/health";
import type { HostFacts } from "@sterna/shared/host";
import {
	type GuestId,
	HostId,
	type MigrationId,
	type PointId,
	type RestoreId,
	type UpkeepId,
} from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import { JoinResponse, parseJoinString } from "@sterna/shared/protocol/join";
import type { ReportEvent, TrackedReport } from "@sterna/shared/protocol/report";
import { Endpoint } from "@sterna/shared/protocol/rpc";
import { GiB } from "@sterna/shared/units";
import { WebSocket } from "ws";
import { ScriptedPlaces } from "./scripted-backups.ts";
import { scriptedHandlers } from "./scripted-handlers.ts";

export interface Identity {
	hostId: HostId;
	privateKey: string;
	certificate: string;
	authority: string;
	port: number;
}

/** What agents of one test share: they find each other here instead of on a network. */
export class Fleet {
	readonly agents = new Map<HostId, ScriptedAgent>();
	readonly places = new ScriptedPlaces();
	/** While set, moves stop there until `letGo`. */
	holdAt: "copyMemory" | null = null;
	readonly #held = new Set<() => void>();

	held(): Promise<void> {
		return new Promise((resolve) => this.#held.add(resolve));
	}

	/** Moves that wait at the moment. */
	get waiting(): number {
		return this.#held.size;
	}

	letGo(): void {
		this.holdAt = null;
		for (const go of [...this.#held]) go();
		this.#held.clear();
	}
}

/** A stand-in for a server: real TLS, real protocol, guests that are only records. It keeps its state over reconnects. */
export class ScriptedAgent {
	readonly identity: Identity;
	readonly name: string;
	readonly fleet: Fleet;
	readonly guests = new Map<GuestId, Omit<GuestReport, "generation">>();
	readonly migrations = new Map<MigrationId, MigrationReport>();
	readonly backups = new Map<PointId, BackupReport>();
	readonly restores = new Map<RestoreId, RestoreReport>();
	readonly upkeeps = new Map<UpkeepId, UpkeepReport>();
	/** Folders for backups that it offers. */
	folders: HostFacts["repositoryFolders"] = [];
	readonly serial = new Map<GuestId, { text: string; ended: boolean }>();
	/** Commands that the console sent, in order. */
	readonly commands: string[] = [];
	findings: Finding[] = [];
	/** What the agent answers to `migration.plan` and `migration.start` instead of yes. */
	refusal: { code: "incompatible"; message: string } | null = null;
	/** Commands that are answered with an error, or never (`swallow`). */
	readonly instead = new Map<string, SternaError | "swallow">();
	/** Takes up its reports where the console stopped listening, as an agent does after a short cut; else it tells all anew. */
	resumes = false;
	/** While true, `migration.start` arrives and nothing happens. */
	deaf = false;
	connection = 1;
	readonly #run = crypto.randomUUID();
	#nextId = 1;
	#generation = 1;
	readonly #streams = new Set<(tracked: TrackedReport) => void>();
	readonly #serialWaiting = new Set<() => void>();
	socket: WebSocket | null = null;

	constructor(identity: Identity, name: string, fleet: Fleet) {
		this.identity = identity;
		this.name = name;
		this.fleet = fleet;
		fleet.agents.set(identity.hostId, this);
	}

	/** Joins with a join line and connects. */
	static async join(
		joinLine: string,
		name: string,
		fleet: Fleet,
		folders: HostFacts["repositoryFolders"] = [],
	): Promise<ScriptedAgent> {
		const agent = new ScriptedAgent(await join(joinLine, name), name, fleet);
		agent.folders = folders;
		await agent.connect();
		return agent;
	}

	/** Fulfilled when the console has opened the stream of reports; rejected when it refuses or closes before. */
	connect(options: { connection?: number; versions?: number[] } = {}): Promise<void> {
		const { port, privateKey, certificate, authority } = this.identity;
		const connection = options.connection ?? this.connection++;
		return new Promise((resolve, reject) => {
			const socket = new WebSocket(`wss://127.0.0.1:${port}/agent`, {
				...{ key: privateKey, cert: certificate, ca: authority, perMessageDeflate: false },
				rejectUnauthorized: false,
			});
			this.socket = socket;
			let endpoint: Endpoint | null = null;
			socket.once("unexpected-response", (_request, response) =>
				reject(new Error(`refused with ${response.statusCode}`)),
			);
			socket.once("error", reject);
			socket.once("close", (code, reason) => {
				endpoint?.closed("closed");
				reject(new Error(`closed with ${code} ${reason}`));
			});
			socket.once("open", () => {
				if (options.versions) {
					socket.send(JSON.stringify({ type: "hello", versions: options.versions, program: "scripted", connection }));
					return;
				}
				endpoint = new Endpoint({
					program: "scripted",
					connection,
					caller: { audience: "console", hostId: null },
					handlers: scriptedHandlers(this, resolve),
					wire: { send: (text) => socket.send(text), close: () => socket.close() },
				});
			});
			socket.on("message", (data) => endpoint?.receive(data.toString()));
		});
	}

	/** Loses the connection. Guests and moves go on. */
	disconnect(): Promise<void> {
		const { socket } = this;
		return new Promise((resolve) => {
			if (!socket || socket.readyState === WebSocket.CLOSED) return resolve();
			socket.once("close", () => resolve());
			socket.terminate();
		});
	}

	/** Connects again as soon as there is somebody to connect to. */
	async reconnect(): Promise<void> {
		const deadline = Date.now() + 30_000;
		for (;;) {
			try {
				return await this.connect();
			} catch (error) {
				if (Date.now() > deadline) throw error;
				await new Promise((resolve) => setTimeout(resolve, 50));
			}
		}
	}

	tell(event: ReportEvent): void {
		this.tellRaw({ run: this.#run, id: this.#nextId++, event });
	}

	/** A report exactly so: out of order, doubled, of another run. */
	tellRaw(tracked: TrackedReport): void {
		for (const stream of this.#streams) stream(tracked);
	}

	get place(): { run: string; id: number } {
		return { run: this.#run, id: this.#nextId };
	}

	setGuest(guest: Omit<GuestReport, "generation">): GuestReport {
		this.guests.set(guest.guestId, guest);
		const report = { ...guest, generation: this.#generation++ };
		this.tell({ type: "guest.changed", guest: report });
		return report;
	}

	removeGuest(guestId: GuestId): void {
		this.guests.delete(guestId);
		this.tell({ type: "guest.removed", guestId, generation: this.#generation++ });
	}

	/** Reports one sample: this share of the host's and of the guest's CPUs is in use. */
	measure(guestId: GuestId, cpuUsed: number): void {
		const rates = {
			...{ diskReadBytesPerSecond: 0, diskWriteBytesPerSecond: 0 },
			...{ networkReceiveBytesPerSecond: 0, networkTransmitBytesPerSecond: 0 },
		};
		const at = Date.now();
		const pressure = { cpuPressure: null, memoryPressure: null, ioPressure: null };
		this.tell({
			type: "metrics.sampled",
			host: { at, cpuUsed, loadAverage1: 1, memoryUsedBytes: GiB, memoryAvailableBytes: GiB, ...rates, ...pressure },
			guests: [{ guestId, at, cpuUsed, memoryResidentBytes: GiB, ...rates }],
		});
	}

	setFindings(findings: Finding[]): void {
		this.findings = findings;
		this.tell({ type: "findings.changed", findings });
	}

	setMigration(report: MigrationReport): void {
		this.migrations.set(report.migrationId, report);
		this.tell({ type: "migration.changed", migration: report });
	}

	print(guestId: GuestId, text: string): void {
		const log = this.serial.get(guestId) ?? { text: "", ended: false };
		this.serial.set(guestId, { text: log.text + text, ended: false });
		this.wakeSerial();
	}

	wakeSerial(): void {
		for (const wake of [...this.#serialWaiting]) wake();
	}

	serialChange(signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const wake = () => {
				this.#serialWaiting.delete(wake);
				resolve();
			};
			this.#serialWaiting.add(wake);
			signal.addEventListener("abort", wake, { once: true });
		});
	}

	snapshot(): TrackedReport {
		const guests = [...this.guests.values()].map((guest) => ({ ...guest, generation: this.#generation++ }));
		const event: ReportEvent = {
			type: "snapshot",
			facts: this.facts(),
			guests,
			findings: this.findings,
			migrations: [...this.migrations.values()],
			backups: [...this.backups.values()],
			restores: [...this.restores.values()],
			upkeeps: [...this.upkeeps.values()],
			metrics: null,
		};
		return { run: this.#run, id: this.#nextId++, event };
	}

	follow(listener: (tracked: TrackedReport) => void): () => void {
		this.#streams.add(listener);
		return () => this.#streams.delete(listener);
	}

	facts(): HostFacts {
		const { hostId } = this.identity;
		return {
			hostId,
			name: this.name,
			agentVersion: "0.1.0",
			bootId: "boot-1",
			peerAddress: "127.0.0.1",
			peerPort: 7676,
			operatingSystem: "Debian",
			kernel: "6.1",
			cpuModel: "scripted",
			cpuThreads: 8,
			memoryBytes: 8 * GiB,
			qemuVersion: "10.0.2",
			machineTypes: ["pc-q35-10.0"],
			probe: { accelerator: "simulated", reason: "scripted" },
			pools: [
				{ name: "local", poolId: hostId, kind: "local", capacityBytes: 100 * GiB, freeBytes: 90 * GiB },
				{ name: "shared", poolId: sharedPool, kind: "shared", capacityBytes: 100 * GiB, freeBytes: 90 * GiB },
			],
			networks: [{ name: "lan", kind: "bridge" }],
			images: [{ name: "tiny", sizeBytes: 1, sha256: "0".repeat(64) }],
			repositoryFolders: this.folders,
			simulated: true,
		};
	}
}

const sharedPool = HostId.parse("00000000-0000-4000-8000-000000000001");

/** Sends one request to the agent port. */
export function askAgentPort(
	port: number,
	path: string,
	options: { body?: unknown; method?: string; raw?: string; identity?: Identity; contentType?: string } = {},
): Promise<{ status: number; text: string }> {
	const {
		identity,
		body,
		raw = body === undefined ? "" : JSON.stringify(body),
		method = raw ? "POST" : "GET",
	} = options;
	return new Promise((resolve, reject) => {
		const request = httpsRequest(
			{
				...{ host: "127.0.0.1", port, path, method, rejectUnauthorized: false, agent: false },
				...(identity ? { key: identity.privateKey, cert: identity.certificate } : {}),
				headers: raw ? { "content-type": options.contentType ?? "application/json" } : {},
			},
			(response) => {
				let text = "";
				response.on("data", (chunk) => (text += chunk));
				response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
			},
		);
		request.on("error", reject);
		request.end(raw);
	});
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A fresh key and a request for it, PEM. */
export async function newRequest(): Promise<{ privateKey: string; certificateRequest: string }> {
	const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
	const request = await Pkcs10CertificateRequestGenerator.create(
		{ name: [], signingAlgorithm: algorithm, keys },
		crypto,
	);
	const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
	return {
		privateKey: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
		certificateRequest: request.toString("pem"),
	};
}

/** The join string inside a join line. */
export function joinStringOf(joinLine: string): string {
	return joinLine.split(" ").find((word) => word.startsWith("sterna1:")) ?? "";
}

export async function join(joinLine: string, name: string): Promise<Identity> {
	const { port, secret } = parseJoinString(joinStringOf(joinLine));
	const { privateKey, certificateRequest } = await newRequest();
	const { status, text } = await askAgentPort(port, "/join", { body: { secret, name, certificateRequest } });
	if (status !== 200) throw new Error(`join refused with ${status}: ${text}`);
	const { hostId, certificate, authority } = JoinResponse.parse(JSON.parse(text));
	return { hostId, privateKey, certificate, authority, port };
}
