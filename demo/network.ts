import { run } from "../scripts/system/run.ts";

/**
 * The demo's cables: one bridge with the console's address, and per server a network namespace with a bridge of its own
 * that carries the server's address and its guests' taps.
 *
 *     root namespace                       namespace of server 1
 *     ┌ <id>br 198.18.N.1/24 ┐── veth ──▶ ┌ br0 198.18.N.11/24 ┐── taps of its guests
 *
 * 198.18.0.0/15 is set aside for such rigs (RFC 2544 §C.2.2), so no real network of the machine is in the way.
 */
export interface DemoNetwork {
	/** Address of the console and the heartbeat collector. */
	consoleAddress: string;
	servers: DemoServerNetwork[];
	/** Takes the server's cable out or puts it back. */
	setCable(index: number, plugged: boolean): Promise<void>;
	/** Address of the guest with this number, as `198.18.N.101/24`. */
	guestAddress(number: number): string;
	remove(): Promise<void>;
}

export interface DemoServerNetwork {
	address: string;
	/** What to put before a command so that it runs on this server. */
	enter: string[];
	bridge: string | null;
}

/** Makes the cables. `id` is two to four letters or digits, unique on the machine; `subnet` is N above. Root only. */
export async function makeNetwork(id: string, subnet: number, serverCount: number): Promise<DemoNetwork> {
	const prefix = `198.18.${subnet}`;
	const bridge = `${id}br`;
	const spaces = Array.from({ length: serverCount }, (_, index) => `${id}-h${index + 1}`);
	const ip = (...args: string[]) => run("ip", args);
	const remove = async () => {
		for (const space of spaces) await ip("netns", "delete", space).catch(() => {});
		for (let index = 1; index <= serverCount; index++) await ip("link", "delete", `${id}v${index}`).catch(() => {});
		await ip("link", "delete", bridge).catch(() => {});
	};
	await remove();
	try {
		await ip("link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0");
		await ip("addr", "add", `${prefix}.1/24`, "dev", bridge);
		await ip("link", "set", bridge, "up");
		for (const [at, space] of spaces.entries()) {
			const cable = `${id}v${at + 1}`;
			const inside = (...args: string[]) => ip("-n", space, ...args);
			await ip("netns", "add", space);
			await ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space);
			await ip("link", "set", cable, "master", bridge, "up");
			await inside("link", "set", "lo", "up");
			await inside("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0");
			await inside("link", "set", "eth0", "master", "br0", "up");
			await inside("addr", "add", `${prefix}.${11 + at}/24`, "dev", "br0");
			await inside("link", "set", "br0", "up");
		}
	} catch (error) {
		await remove();
		throw error;
	}
	return {
		consoleAddress: `${prefix}.1`,
		servers: spaces.map((space, at) => ({
			address: `${prefix}.${11 + at}`,
			enter: ["ip", "netns", "exec", space],
			bridge: "br0",
		})),
		setCable: async (index, plugged) => {
			await ip("link", "set", `${id}v${index + 1}`, plugged ? "up" : "down");
		},
		guestAddress: (number) => `${prefix}.${100 + number}/24`,
		remove,
	};
}

/** Without root: everything on loopback, guests behind QEMU's own NAT. */
export function loopbackNetwork(serverCount: number): DemoNetwork {
	return {
		consoleAddress: "127.0.0.1",
		servers: Array.from({ length: serverCount }, () => ({ address: "127.0.0.1", enter: [], bridge: null })),
		setCable: async () => {
			throw new Error("without root the servers have no cables of their own; start the demo as root to cut one");
		},
		guestAddress: () => "10.0.2.15/24",
		remove: async () => {},
	};
}
