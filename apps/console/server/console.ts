import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import { formatJoinString } from "@sterna/shared/protocol/join";
import type { Logger } from "pino";
import { quietAlarms } from "./agents/alarms.ts";
import { AgentHub, type AgentListener } from "./agents/hub.ts";
import { joinLines } from "./agents/install.ts";
import { createJoinToken } from "./agents/join-tokens.ts";
import { AgentPort } from "./agents/port.ts";
import { Authority } from "./authority/authority.ts";
import { type Backups, openBackups } from "./backups/backups.ts";
import { Changes } from "./changes.ts";
import type { Core } from "./core.ts";
import { openDatabase } from "./db/database.ts";
import { startPostgres } from "./db/postgres.ts";
import type { ConsoleEnvironment } from "./env.ts";
import { Evacuations } from "./evacuations/executor.ts";
import { EvacuationRetries, incompleteEvacuation } from "./evacuations/retries.ts";
import { EventLog } from "./events/log.ts";
import { GuestActions } from "./guests/actions.ts";
import { GuestExistence } from "./guests/existence.ts";
import { GuestVolumes } from "./guests/volumes.ts";
import { Findings } from "./health/findings.ts";
import { Admission } from "./hosts/admission.ts";
import { Intake } from "./inventory/intake.ts";
import { Inventory } from "./inventory/inventory.ts";
import { watchSilence } from "./inventory/silence.ts";
import { Rollups } from "./metrics/rollups.ts";
import { MoveDriver } from "./migrations/driver.ts";
import { Moves } from "./migrations/moves.ts";
import { makeAuth } from "./people/auth.ts";
import { People } from "./people/people.ts";
import { SerialDoor } from "./serial/door.ts";
import { Tickets } from "./serial/tickets.ts";
import { Undo } from "./undo.ts";
import type { JoinTokenView } from "./views-hosts.ts";

const tickMs = 1000;

/** A running console without its web pages: database, agents, planner. `server.ts` puts the web doors before it. */
export interface Console {
	readonly core: Core;
	readonly log: Logger;
	readonly environment: ConsoleEnvironment;
	readonly people: People;
	readonly hub: AgentHub;
	readonly agentPort: AgentPort;
	readonly admission: Admission;
	readonly actions: GuestActions;
	readonly existence: GuestExistence;
	readonly driver: MoveDriver;
	readonly evacuations: Evacuations;
	readonly findings: Findings;
	readonly rollups: Rollups;
	readonly tickets: Tickets;
	readonly serial: SerialDoor;
	readonly backups: Backups;
	readonly volumes: GuestVolumes;
	/** A join line for a new server; `browserHost` is the name by which the admin reached this console. */
	createJoinToken(request: { actor: string; remark: string; browserHost: string | null }): Promise<JoinTokenView>;
	close(): Promise<void>;
}

/** Starts everything, in the order of what needs what. On failure what was started is stopped again. */
export async function startConsole(
	environment: ConsoleEnvironment,
	{ log, consoleDir }: { log: Logger; consoleDir: string },
): Promise<Console> {
	const undo = new Undo(log);
	try {
		mkdirSync(environment.dataDir, { recursive: true, mode: 0o700 });
		const postgres = environment.databaseUrl ? null : await startPostgres(join(environment.dataDir, "postgres"));
		if (postgres) undo.add("PostgreSQL", () => postgres.stop());
		const url = environment.databaseUrl ?? postgres?.url ?? "";
		const { db, close } = await openDatabase(url, join(consoleDir, "drizzle"), log);
		undo.add("database", close);

		const now = Date.now;
		const changes = new Changes();
		undo.add("changes", async () => changes.close());
		const events = new EventLog(db, changes, now);
		const inventory = new Inventory();
		await inventory.load(db, now());
		const core: Core = { db, inventory, changes, events, log, now };

		const authority = await Authority.open(join(environment.dataDir, "authority"), now);
		const secureCookies = environment.url?.startsWith("https:") ?? false;
		const auth = makeAuth({ db, secret: keptSecret(join(environment.dataDir, "session.secret")), secureCookies });
		const people = new People({ db, auth, events });
		const admission = new Admission(core, authority);
		const rollups = new Rollups(core);

		const moves = new Moves(core, authority, (move) => void evacuations.moveEnded(move));
		const listener: AgentListener = {
			claimConnection: (hostId, connection) => admission.claimConnection(hostId, connection),
			quarantine: (hostId, because) => admission.quarantine(hostId, because),
			misbehaved: (hostId, what) => {
				log.warn({ hostId, what }, "agent broke a rule");
				void alarms.raise(hostId, "misbehaved", {
					kind: "host.misbehaved",
					actor: "console",
					objects: [{ type: "host", id: hostId, name: inventory.hostName(hostId) }],
					sentence: `The connection of ${inventory.hostName(hostId)} was closed: ${what}`.slice(0, 500),
				});
			},
			connected: (hostId) => {
				Object.assign(inventory.host(hostId), { connected: true, silentSince: null, lastHeardAt: now() });
				backups.connected(hostId);
				changes.touch("overview", "hosts", `host:${hostId}`);
				void admission.sendRevocations(hostId);
				void existence.finishPending(hostId);
			},
			disconnected: (hostId) => {
				Object.assign(inventory.host(hostId), { connected: false, silentSince: now() });
				backups.disconnected(hostId);
				changes.touch("overview", "hosts", "guests", `host:${hostId}`);
			},
			resumeAfter: (hostId) => inventory.host(hostId).lastReport ?? undefined,
			report: async (hostId, tracked) => {
				await intake.take(hostId, tracked);
				if (tracked.event.type === "snapshot") void driver.tick();
			},
		};
		const alarms = quietAlarms(events, log, now);
		const hub = new AgentHub({ listener, log, now });
		admission.attach(hub);
		const driver = new MoveDriver({ core, hub, moves });
		driver.inherit();
		const existence = new GuestExistence(core, hub);
		const evacuations = new Evacuations(core, driver);
		const retries = new EvacuationRetries({
			core,
			incompleteOf: (hostId) => incompleteEvacuation(core, hostId),
			begin: (request) => evacuations.begin({ ...request, onlyIn: "maintenance" }),
		});
		const findings = new Findings(core, evacuations);
		const intake = new Intake(core, {
			guestReported: (_hostId, guestId) => moves.settle(guestId),
			migrationReported: (_hostId, report) => moves.reported(report),
			taskReported: (hostId, task) => backups.reported(hostId, task),
			tasksKnown: (hostId, ids) => backups.settle(hostId, ids),
			findingsReported: (hostId, found) => findings.receive(hostId, found),
			metricsSampled: (hostId, guests) => {
				const { metrics } = inventory.host(hostId);
				if (metrics) rollups.add(hostId, metrics);
				for (const { id, metrics: sample } of guests) if (sample) rollups.add(id, sample);
			},
			foreignReport: (hostId, what, objectId) =>
				alarms.raise(hostId, `foreign/${objectId}`, {
					kind: "host.reportRefused",
					actor: "console",
					objects: [{ type: "host", id: hostId, name: inventory.hostName(hostId) }],
					sentence: `${inventory.hostName(hostId)} reported what is not its own; it was not believed`,
					why: what,
					evidence: { objectId },
					severity: "degraded",
				}),
			lost: (hostId) => {
				inventory.host(hostId).lastReport = null;
				hub.drop(hostId, "the whole state is needed");
			},
		});
		const backups = await openBackups({ core, hub, dataDir: environment.dataDir });
		const actions = new GuestActions({ core, hub, existence, driver });
		const volumes = new GuestVolumes(core, hub);
		const tickets = new Tickets(now);
		const serial = new SerialDoor({ core, hub, people, tickets });

		const names = [...new Set([environment.agentAddress ?? hostname(), hostname(), "localhost", "127.0.0.1"])];
		const address = () => environment.agentAddress ?? hostname();
		const agentPort = await AgentPort.listen(
			{ authority, admission, hub, log, names, address, agentDir: environment.agentDir },
			{ address: environment.agentListen, port: environment.agentPort },
		);
		undo.add("agent port", () => agentPort.close());

		undo.add(
			"ticks",
			everySoOften(log, [
				// Not waited for: an agent that takes its time must not hold up the others, nor the health policy.
				async () => void driver.tick(),
				async () => evacuations.tick(),
				() => retries.tick(),
				() => existence.tick(),
				() => volumes.tick(),
				() => findings.decide(),
				...backups.ticks,
				watchSilence(core, alarms),
				() => people.sweep(),
			]),
		);
		undo.add("roll-ups", () => rollups.flush());

		return {
			...{ core, log, environment, people, hub, agentPort, admission, actions, existence },
			...{ driver, evacuations, findings, rollups, tickets, serial, backups, volumes },
			createJoinToken: async ({ actor, remark, browserHost }) => {
				const dial = environment.agentAddress ?? browserHost ?? hostname();
				const { secret, expiresAt } = await createJoinToken(db, { createdBy: actor, remark, now: now() });
				const port = agentPort.port;
				const bracketed = dial.includes(":") ? `[${dial}]` : dial;
				const joinString = formatJoinString({ address: bracketed, port, pin: authority.pin, secret });
				await events.append({
					kind: "joinToken.created",
					actor,
					objects: [],
					sentence: `${actor} made a join line, good once for 30 minutes`,
					why: remark || null,
				});
				return { ...joinLines({ address: dial, port, pin: authority.pin, joinString }), expiresAt };
			},
			close: () => undo.run(),
		};
	} catch (error) {
		await undo.run();
		throw error;
	}
}

/** Runs the works one after the other, again and again. Returns the way to stop, which waits for the round under way. */
function everySoOften(log: Logger, works: readonly (() => Promise<void>)[]): () => Promise<void> {
	let stopped = false;
	let round: Promise<void> | null = null;
	const run = async () => {
		for (const work of works) {
			if (stopped) return;
			await work().catch((err) => log.error({ err }, "periodic work failed"));
		}
	};
	const timer = setInterval(() => {
		round ??= run().finally(() => {
			round = null;
		});
	}, tickMs);
	return async () => {
		stopped = true;
		clearInterval(timer);
		await round;
	};
}

/** 32 random bytes that stay the same over restarts, so that people stay signed in. */
function keptSecret(path: string): string {
	if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString("base64url"), { mode: 0o600, flush: true });
	const secret = readFileSync(path, "utf8");
	if (secret.length < 32)
		throw new SternaError("invalid", `the file ${path} is damaged`, { cure: "delete it and start again" });
	return secret;
}
