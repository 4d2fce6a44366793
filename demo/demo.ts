import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "@sterna/shared/units";
import { isRoot } from "../scripts/system/packages.ts";
import type { ConsoleApi } from "./api.ts";
import { type DemoConsole, startConsole } from "./console.ts";
import { type BreakRequest, serveControl } from "./control.ts";
import { damageRepository } from "./damage.ts";
import { guestCommandLine } from "./guest/command-line.ts";
import { HeartbeatCollector } from "./heartbeats.ts";
import { type DemoNetwork, loopbackNetwork, makeNetwork } from "./network.ts";
import { killGuestsBelow } from "./processes.ts";
import { type DemoServer, explain, makeServer } from "./servers.ts";
import { until } from "./until.ts";

/** What a rig of servers on this machine is made of. The demo, the browser tests and the soak all use it. */
export interface DemoOptions {
	/** Two to four letters or digits, unique among rigs on this machine: names of interfaces and namespaces. */
	id: string;
	/** 1 to 254: the rig's network is 198.18.<subnet>.0/24. */
	subnet: number;
	serverCount: number;
	consolePort: number;
	/** Emptied at the start; must be reachable for unprivileged users when root. */
	folder: string;
	images: { kernel: string; initrd: string };
	qemu: { system: string; img: string };
	development?: boolean;
	say(line: string): void;
}

export interface GuestWish {
	name: string;
	pool: "local" | "shared";
	load: "light" | "writer" | "tree";
	/** Time between two heartbeats. */
	beatMs: number;
	/** Name of the server to start on; the planner chooses without. */
	server?: string;
}

export interface Demo {
	console: DemoConsole;
	api: ConsoleApi;
	servers: DemoServer[];
	network: DemoNetwork;
	heartbeats: HeartbeatCollector;
	/** Creates and starts a guest; resolves with its id when its heart beats. */
	addGuest(wish: GuestWish): Promise<string>;
	break(request: BreakRequest): Promise<void>;
	/** Ends everything that was started, guests too. */
	close(): Promise<void>;
}

/** A killed agent comes back after this time, as systemd would bring it back. */
const agentRestartDelayMs = 5000;
const collectorPort = 7070;

/** Starts console and servers and waits until all are online. On failure everything is ended again. */
export async function startDemo(options: DemoOptions): Promise<Demo> {
	const { id, subnet, serverCount, folder, say } = options;
	const undo: (() => Promise<unknown>)[] = [];
	const close = async () => {
		for (const step of undo.splice(0).reverse()) await step().catch((error) => say(`while ending: ${error}`));
	};
	try {
		await killGuestsBelow(folder);
		rmSync(folder, { recursive: true, force: true });
		for (const shared of ["shared", "backups"]) mkdirSync(join(folder, shared), { recursive: true, mode: 0o755 });

		const network = isRoot() ? await makeNetwork(id, subnet, serverCount) : loopbackNetwork(serverCount);
		undo.push(() => network.remove());
		const heartbeats = await HeartbeatCollector.listen(network.consoleAddress, isRoot() ? collectorPort : 0);
		undo.push(async () => heartbeats.close());

		const servers: DemoServer[] = [];
		const control = await serveControl(join(folder, "control.sock"), (request) => breakIt(request));
		undo.push(async () => control.close());
		const breakIt = async (request: BreakRequest) => {
			if (request.action !== "damageRepository") return breakServer(servers, network, request, say);
			say(`one byte of ${await damageRepository(join(folder, "backups"))} is another one now`);
		};

		say("starting the console");
		const console = await startConsole({
			dataDir: join(folder, "console"),
			port: options.consolePort,
			agentAddress: network.consoleAddress,
			controlSocket: join(folder, "control.sock"),
			development: options.development === true,
		});
		undo.push(() => console.stop());
		const { api } = console;

		undo.push(() => killGuestsBelow(folder));
		for (const [at, place] of network.servers.entries()) {
			const { joinLine } = await api.hosts.createJoinToken.mutate({ remark: `server ${at + 1} of the demo` });
			const joinString = joinLine.split(" ").find((word) => word.startsWith("sterna1:")) ?? "";
			const server = await makeServer({
				name: `rack1-0${at + 1}`,
				dataDir: join(folder, `h${at + 1}`),
				sharedPoolDir: join(folder, "shared"),
				backupsDir: join(folder, "backups"),
				images: options.images,
				qemu: options.qemu,
				network: place,
				peerPort: 7676 + (place.bridge ? 0 : at),
				streamPorts: { from: 7700 + at * 20, to: 7719 + at * 20 },
				memoryBytes: 2048 * MiB,
				joinString,
			});
			undo.push(() => server.stop());
			servers.push(server);
		}
		say(`waiting for ${serverCount} servers to come online`);
		await until(`${serverCount} servers online`, 60_000, async () => {
			const { rows } = await api.hosts.list.query({ connection: ["online"] });
			return rows.length >= serverCount;
		}).catch((error) => {
			throw new Error(`${error.message}\n${servers.map(explain).join("\n")}`);
		});

		let guestNumber = 0;
		const addGuest = async (wish: GuestWish): Promise<string> => {
			guestNumber++;
			const { rows } = await api.hosts.list.query({});
			const host = rows.find((row) => row.name === wish.server);
			const commandLine = guestCommandLine({
				name: wish.name,
				ip: network.guestAddress(guestNumber),
				beat: `${isRoot() ? network.consoleAddress : "10.0.2.2"}:${heartbeats.port}`,
				beatMs: wish.beatMs,
				load: wish.load,
			});
			const { guestId } = await api.guests.create.mutate({
				name: wish.name,
				vcpus: 1,
				memoryBytes: 128 * MiB,
				boot: { from: "kernel", kernel: "sterna-guest.vmlinuz", initrd: "sterna-guest.initrd", commandLine },
				volumes: [{ pool: wish.pool, sizeBytes: 256 * MiB }],
				networks: ["lan"],
				...(host ? { hostId: host.id } : {}),
				start: true,
			});
			await heartbeats.waitFor(wish.name, "its first heartbeat", (pulse) => pulse.received > 0, 60_000);
			return guestId;
		};
		return { console, api, servers, network, heartbeats, addGuest, break: breakIt, close };
	} catch (error) {
		await close();
		throw error;
	}
}

async function breakServer(
	servers: DemoServer[],
	network: DemoNetwork,
	{ action, host }: Exclude<BreakRequest, { action: "damageRepository" }>,
	say: (line: string) => void,
): Promise<void> {
	const index = servers.findIndex((server) => server.name === host);
	const server = servers[index];
	if (!server) throw new Error(`the demo has no server named ${host}`);
	say(`${host}: ${action}`);
	switch (action) {
		case "memoryErrors":
			return server.hardware.breakMemory();
		case "failingDisk":
			return server.hardware.breakDisk();
		case "killAgent":
			await server.killAgent();
			setTimeout(() => server.startAgent(), agentRestartDelayMs).unref();
			return;
		case "cutNetwork":
			return network.setCable(index, false);
		case "heal":
			server.hardware.heal();
			if (server.agentPid() === null) server.startAgent();
			if (network.servers[index]?.bridge) await network.setCable(index, true);
	}
}
