import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { GuestReport } from "@sterna/shared/guest";
import { z } from "zod";
import { probeMemory } from "../scripts/system/qemu.ts";
import { run } from "../scripts/system/run.ts";
import { type Hardware, makeHardware } from "./hardware.ts";
import type { DemoServerNetwork } from "./network.ts";
import { type Running, startProcess, stopProcess, tail } from "./processes.ts";

const Status = z.object({ host: z.object({ guests: z.array(GuestReport) }) });
const agentEntry = new URL("../apps/agent/dist/sterna-agent.js", import.meta.url).pathname;

/** One server of the demo: a folder, an address, an agent. */
export interface DemoServer {
	name: string;
	dataDir: string;
	hardware: Hardware;
	/** Pid of the agent; null while it is down. */
	agentPid(): number | null;
	/** Ends the agent at once, as a crash would; its guests run on. */
	killAgent(): Promise<void>;
	startAgent(): void;
	/** The guests that `sterna-agent status --json` names on this server, which asks nobody but the agent. */
	guests(): Promise<Pick<GuestReport, "guestId" | "role" | "epoch" | "state">[]>;
	stop(): Promise<void>;
}

export interface ServerRequest {
	name: string;
	dataDir: string;
	sharedPoolDir: string;
	/** The backup folder that all servers share. */
	backupsDir: string;
	images: { kernel: string; initrd: string };
	qemu: { system: string; img: string };
	network: DemoServerNetwork;
	/** Peer port; servers without a network of their own need different ones. */
	peerPort: number;
	streamPorts: { from: number; to: number };
	memoryBytes: number;
	joinString: string;
}

/** Lays out the server's folder, joins it to the console and starts its agent. */
export async function makeServer(request: ServerRequest): Promise<DemoServer> {
	const { name, dataDir, network } = request;
	mkdirSync(join(dataDir, "images"), { recursive: true, mode: 0o755 });
	copyFileSync(request.images.kernel, join(dataDir, "images", "sterna-guest.vmlinuz"));
	copyFileSync(request.images.initrd, join(dataDir, "images", "sterna-guest.initrd"));
	const hardware = makeHardware(join(dataDir, "hardware"));
	writeFileSync(join(dataDir, "config.json"), JSON.stringify(configOf(request, hardware), null, "\t"), { mode: 0o600 });
	const agent = (...args: string[]) => [...network.enter, process.execPath, agentEntry, ...args];
	const [program = "", ...args] = agent("join", request.joinString, "--data", dataDir, "--name", name);
	await run(program, args);

	const logPath = join(dataDir, "agent.log");
	let running: Running | null = null;
	const startAgent = () => {
		const mine = startProcess({ command: agent("run", "--data", dataDir), logPath });
		running = mine;
		void mine.ended.then(() => {
			if (running === mine) running = null;
		});
	};
	startAgent();
	return {
		name,
		dataDir,
		hardware,
		agentPid: () => running?.child.pid ?? null,
		startAgent: () => {
			if (!running) startAgent();
		},
		guests: async () => {
			const [program = "", ...args] = agent("status", "--json", "--data", dataDir);
			return Status.parse(JSON.parse(await run(program, args))).host.guests;
		},
		killAgent: async () => {
			const { child, ended } = running ?? {};
			child?.kill("SIGKILL");
			await ended;
		},
		stop: async () => {
			if (running) await stopProcess(running, 5000);
		},
	};
}

/** Why a server did not come online, from the end of its log. */
export function explain(server: DemoServer): string {
	return `${server.name}:\n${tail(join(server.dataDir, "agent.log"))}`;
}

function configOf(request: ServerRequest, hardware: Hardware) {
	const { network, dataDir } = request;
	return {
		name: request.name,
		peerAddress: network.address,
		peerPort: request.peerPort,
		streamPorts: request.streamPorts,
		pools: [
			{ name: "local", kind: "local", path: join(dataDir, "pools", "local") },
			{ name: "shared", kind: "shared", path: request.sharedPoolDir },
		],
		repositories: [{ name: "backups", path: request.backupsDir }],
		networks: [network.bridge ? { name: "lan", bridge: network.bridge } : { name: "lan", user: true }],
		qemuSystem: request.qemu.system,
		qemuImg: request.qemu.img,
		probeMemory,
		sysroot: hardware.sysroot,
		memoryBytes: request.memoryBytes,
		metricsPeriodMs: 2000,
		diskSensorPeriodMs: 2000,
	};
}
