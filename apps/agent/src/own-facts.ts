import { randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { hostname } from "node:os";
import { join } from "node:path";
import type { HypervisorFacts } from "@sterna/hypervisor/hypervisor";
import type { HostFacts } from "@sterna/shared/host";
import type { AgentConfig } from "./config.ts";
import { HostFactsReader, type PoolFolder } from "./host-facts.ts";
import type { Identity } from "./identity/identity.ts";
import type { ConsoleAddress } from "./identity/request.ts";
import { createSensorRoot, type SensorRoot } from "./sensors/root.ts";
import { agentVersion } from "./version.ts";

const lookupTimeoutMs = 2000;

/** What this server is, read anew with every call. */
export function ownFacts(options: {
	root: SensorRoot;
	identity: () => Identity;
	config: AgentConfig;
	dataDir: string;
	bootId: string;
	peerPort: number;
	pools: PoolFolder[];
	hypervisor: HypervisorFacts;
}): () => Promise<HostFacts> {
	const { root, identity, config, dataDir, bootId, peerPort, pools, hypervisor } = options;
	const reader = new HostFactsReader(root, join(dataDir, "images.json"));
	const networks = config.networks.map((network) => ({
		name: network.name,
		kind: "bridge" in network ? ("bridge" as const) : ("user" as const),
	}));
	return async () => {
		const { hostId, name, console } = identity();
		return reader.read({
			hostId,
			name: config.name ?? name,
			agentVersion,
			bootId,
			peerAddress: config.peerAddress ?? (await addressTowards(console)),
			peerPort,
			networks,
			pools,
			repositories: config.repositories,
			imagesDir: config.imagesDir,
			memoryLimitBytes: config.memoryBytes,
			hypervisor,
		});
	};
}

/** This boot of the server. Without a name for it every start counts as a new boot. */
export async function readBootId(root: SensorRoot): Promise<string> {
	const path = "/proc/sys/kernel/random/boot_id";
	const text = (await root.readText(path)) ?? (await createSensorRoot().readText(path));
	return text?.trim() || randomUUID();
}

/**
 * The address this server has on its way to the console; no packet is sent (connect(2) on a datagram socket). Without a
 * way there it is the server's name: an agent starts and keeps its guests on a server that is cut off.
 */
function addressTowards({ address, port }: ConsoleAddress): Promise<string> {
	return new Promise((resolve) => {
		const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
		const tell = (found: string) => {
			clearTimeout(timer);
			socket.removeAllListeners();
			socket.close();
			resolve(found);
		};
		const timer = setTimeout(() => tell(hostname()), lookupTimeoutMs);
		socket.once("error", () => tell(hostname()));
		socket.connect(port, address, () => tell(socket.address().address));
	});
}
