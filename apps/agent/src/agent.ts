import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Hypervisor } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { Finding } from "@sterna/shared/health";
import type { GuestId, HostId } from "@sterna/shared/ids";
import { maxFindingsPerHost } from "@sterna/shared/protocol/report";
import type { Handlers } from "@sterna/shared/protocol/rpc";
import type { Logger } from "pino";
import { createHandlers } from "./commands.ts";
import { type AgentConfig, readConfig } from "./config.ts";
import type { AgentContext, Clock, CreateMigrationService } from "./context.ts";
import { Counters } from "./counters.ts";
import { openDriver } from "./driver.ts";
import { dataFolderMode, makeFolderDurably } from "./durable-file.ts";
import { damageFindings } from "./guests/damage.ts";
import { DiskErrors } from "./guests/disk-errors.ts";
import { GuestHolds } from "./guests/holds.ts";
import { lackingHold } from "./guests/lacking.ts";
import { Guests } from "./guests/lifecycle.ts";
import { GuestQueue } from "./guests/queue.ts";
import { GuestStore } from "./guests/store.ts";
import { GuestVolumes } from "./guests/volumes.ts";
import { credentialsOf, type Identity, readIdentity } from "./identity/identity.ts";
import { keepRenewed } from "./identity/renewal.ts";
import { Link, type LinkTimes } from "./link.ts";
import { claimDataFolder, listenLocally } from "./local.ts";
import { verifyPermit } from "./migrations/permit.ts";
import { createMigrationService } from "./migrations/service.ts";
import { ownFacts, readBootId } from "./own-facts.ts";
import { PeerClient } from "./peers/client.ts";
import { Revocations } from "./peers/revocations.ts";
import { listenForPeers } from "./peers/server.ts";
import { openPlaces } from "./places.ts";
import { Report } from "./report.ts";
import { Sampler } from "./sampling.ts";
import { createSavingServices } from "./saving.ts";
import { SensorCollector, systemClock } from "./sensors/collector.ts";
import { createSensorRoot } from "./sensors/root.ts";
import { Undo } from "./undo.ts";
import { agentVersion } from "./version.ts";

const factsPeriodMs = 30_000;

export interface AgentOptions {
	dataDir: string;
	log: Logger;
	/** By default what `<dataDir>/config.json` says. */
	config?: AgentConfig;
	clock?: Clock;
	/** By default the driver that the configuration names. */
	hypervisor?: Hypervisor;
	/** By default the boot that the kernel names. */
	bootId?: string;
	linkTimes?: LinkTimes;
	createMigrations?: CreateMigrationService;
	createSaving?: typeof createSavingServices;
}

export interface Agent {
	readonly hostId: HostId;
	readonly peerPort: number;
	readonly report: Report;
	readonly link: Link;
	/** Ends the agent. Guests run on, and migrations are taken up by its next life. */
	close(): Promise<void>;
}

/**
 * Starts the agent of a server that has joined. In its data folder:
 *
 *   identity.json  config.json  revoked.json  counters.json   who this server is, how it is set up, whom it refuses
 *   guests/<guestId>/  migrations/                            what must survive everything: records, specs, journals
 *   pools/  images/                                           volumes and boot images, unless configured elsewhere
 *   run/  agent.sock                                          sockets and process records of this boot
 *   metrics/  sensors.json  images.json                       what may be lost
 * Fulfilled when it serves its peers and the local command line; the
 * console is dialled from then on, for as long as it takes.
 * @throws {SternaError} `wrong_state` when the server has not joined, `conflict` when another agent has the folder.
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
	const undo = new Undo();
	try {
		return await compose(options, undo);
	} catch (error) {
		await undo.run();
		throw error;
	}
}

async function compose(options: AgentOptions, undo: Undo): Promise<Agent> {
	const { dataDir, log, clock = systemClock } = options;
	const startedAt = clock.now();
	await makeFolderDurably(dataDir, dataFolderMode);
	undo.add(await claimDataFolder(dataDir));
	let identity = await mustHaveJoined(dataDir);
	const { hostId } = identity;
	const credentials = () => credentialsOf(identity);
	const config = options.config ?? (await readConfig(dataDir));
	const root = createSensorRoot(config.sysroot);
	const bootId = options.bootId ?? (await readBootId(root));
	const counters = await Counters.open(dataDir);
	const store = await GuestStore.open(dataDir);
	const revocations = await Revocations.open(dataDir);

	const hypervisor = options.hypervisor ?? (await openDriver(config, dataDir));
	undo.add(() => hypervisor.close());
	const places = await openPlaces(config, hypervisor);

	const peers = new PeerClient({ credentials, revocations });
	undo.add(() => peers.close());
	const ready = Promise.withResolvers<Handlers>();
	const peerServer = await listenForPeers({
		address: config.listenAddress,
		port: config.peerPort,
		credentials: credentials(),
		handlers: ready.promise,
		revocations,
		log,
	});
	undo.add(() => peerServer.close());

	const facts = ownFacts({
		root,
		identity: () => identity,
		config,
		dataDir,
		bootId,
		peerPort: peerServer.port,
		pools: places.pools(),
		hypervisor: await hypervisor.probe(),
	});
	const report = new Report({ facts: await facts(), nextGeneration: () => counters.nextGeneration() });

	const guestListeners = new Set<() => void>();
	const tellGuest = (guestId: GuestId) => {
		const view = guests.view(guestId);
		report.setGuest(guestId, view && { ...view, volumeMove: volumes.moveOf(guestId) });
		for (const listener of guestListeners) listener();
	};
	const base = { hostId, dataDir, bootId, config, clock, log, hypervisor, store, places, peers, credentials, facts };
	const queue = new GuestQueue();
	const holds = new GuestHolds((guestId) => lackingHold(store.get(guestId)?.run));
	const tasksChanged = {
		migrationChanged: report.setMigration.bind(report),
		backupChanged: report.setBackup.bind(report),
		restoreChanged: report.setRestore.bind(report),
		upkeepChanged: report.setUpkeep.bind(report),
	};
	const guests = new Guests({ ...base, queue, holds, announce: { guestChanged: tellGuest } });
	undo.add(() => guests.close());
	const context: AgentContext = {
		...base,
		queue,
		holds,
		announce: {
			...tasksChanged,
			guestChanged: (guestId) => {
				guests.refresh(guestId).catch((err: unknown) => log.error({ guestId, err }, "guest could not be looked at"));
			},
		},
		verifyPermit: (signed) => verifyPermit(signed, { authority: identity.authority, hostId }),
	};
	const volumes = new GuestVolumes(context);
	undo.add(() => volumes.close());
	const migrations = (options.createMigrations ?? createMigrationService)(context);
	undo.add(() => migrations.close());
	const saving = (options.createSaving ?? createSavingServices)(context, guests);
	undo.add(() => saving.close());

	await guests.adopt();
	await volumes.resumeAll();
	for (const { guestId } of guests.views()) tellGuest(guestId);
	await migrations.resumeAll();
	for (const migration of migrations.active()) report.setMigration(migration);
	await saving.resumeAll();

	const damage = damageFindings(store.damaged(), clock.now());
	const diskErrors = new DiskErrors();
	let sensed: Finding[] = [];
	const tellFindings = () =>
		report.setFindings([...sensed, ...diskErrors.findings(clock.now()), ...damage].slice(0, maxFindingsPerHost));
	const sensors = await SensorCollector.open({
		root,
		statePath: join(dataDir, "sensors.json"),
		bootId,
		pools: places.pools(),
		importantNics: config.importantNics,
		...(config.diskSensorPeriodMs === undefined ? {} : { periodsMs: { disk: config.diskSensorPeriodMs } }),
		clock: systemClock,
		log,
		onChange: (findings) => {
			sensed = findings;
			tellFindings();
		},
	});
	undo.add(() => sensors.close());
	sensed = sensors.findings();
	tellFindings();
	undo.add(
		hypervisor.onEvent((event) => {
			// How often is told with the facts: a failing disk gives thousands of errors in a second.
			if (event.type === "diskError" && diskErrors.add(event, clock.now())) tellFindings();
		}),
	);
	sensors.start();

	const sampler = await Sampler.open({
		dataDir,
		root,
		hypervisor,
		clock,
		log,
		periodMs: config.metricsPeriodMs,
		memoryLimitBytes: config.memoryBytes,
		running: () => store.list().filter(({ guestId }) => guests.isAlive(guestId)),
		present: () => new Set(store.list().map(({ guestId }) => guestId)),
		onSample: (host, ofGuests) => report.setMetrics(host, ofGuests),
	});
	undo.add(() => sampler.close());

	const handlers = createHandlers({
		hypervisor,
		guests,
		volumes,
		store,
		report,
		revocations,
		migrations,
		...saving.services,
		sampler,
		onGuestChange: (listener) => {
			guestListeners.add(listener);
			return () => guestListeners.delete(listener);
		},
		status: () => ({
			pid: process.pid,
			agentVersion,
			startedAt,
			console: { ...identity.console, ...link.state },
			damagedGuests: store.damaged().slice(0, 2000),
		}),
	});
	const link = new Link({
		console: identity.console,
		credentials,
		handlers,
		counters,
		clock,
		log,
		...(options.linkTimes ? { times: options.linkTimes } : {}),
	});
	const local = await listenLocally({ dataDir, handlers, log });
	undo.add(() => local.close());
	ready.resolve(handlers);
	link.start();
	undo.add(() => link.close());

	const ended = new AbortController();
	undo.add(() => ended.abort());
	keepRenewed({
		dataDir,
		clock,
		log,
		current: () => identity,
		onRenewed: (renewed) => {
			identity = renewed;
			peerServer.renew(credentials());
		},
		signal: ended.signal,
	});
	const failed = (err: unknown) => log.error({ err }, "facts or metrics could not be read");
	void repeat(
		factsPeriodMs,
		ended.signal,
		async () => {
			tellFindings();
			report.setFacts(await facts());
		},
		failed,
	);
	await sampler.sample().catch(failed);
	const sampling = repeat(config.metricsPeriodMs, ended.signal, () => sampler.sample(), failed);
	undo.add(async () => {
		ended.abort();
		await sampling;
	});
	log.info({ hostId, peerPort: peerServer.port, guests: guests.views().length }, "agent started");
	return { hostId, peerPort: peerServer.port, report, link, close: () => undo.run() };
}

async function mustHaveJoined(dataDir: string): Promise<Identity> {
	const identity = await readIdentity(dataDir);
	if (identity) return identity;
	throw new SternaError("wrong_state", "this server has not joined a console", {
		cure: "take a join string from Hosts, Join a server, and run: sterna-agent join <join string>",
	});
}

/** Runs `task` again and again, each `periodMs` after the last ended; fulfilled when `signal` has ended it. */
async function repeat(
	periodMs: number,
	signal: AbortSignal,
	task: () => Promise<void>,
	onFailure: (error: unknown) => void,
): Promise<void> {
	while (!signal.aborted) {
		await sleep(periodMs, undefined, { signal, ref: false }).catch(() => {});
		if (!signal.aborted) await task().catch(onFailure);
	}
}
