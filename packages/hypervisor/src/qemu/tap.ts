import { createHash } from "node:crypto";
import { chmod, readFile, stat } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";
import { runTool } from "./tool.ts";

/** A name of at most 15 characters that is the same each time, so that a left-over is found, and differs between agents on one machine. */
export function tapName(runFolder: string, guestId: GuestId, nic: number): string {
	const digest = createHash("sha256").update(`${runFolder}\n${guestId}`).digest("hex");
	return `st${digest.slice(0, 10)}n${nic}`;
}

/**
 * Makes a tap that only `uid` may open, on the bridge, up. One that is left over from an earlier life is replaced.
 * @throws {SternaError} `not_found` without the bridge, `internal` with what ip(8) says.
 */
export async function createTap(tap: { name: string; bridge: string; uid: number | null }): Promise<void> {
	const { name, bridge } = tap;
	if (!/^[\w.-]{1,15}$/.test(bridge))
		throw new SternaError("invalid", `${JSON.stringify(bridge)} is no name of a bridge`);
	if (!(await linkExists(bridge))) {
		throw new SternaError("not_found", `this host has no bridge ${bridge}`, {
			cure: `ip link add ${bridge} type bridge`,
		});
	}
	await openTunDevice();
	await removeTap(name);
	await ip(
		["tuntap", "add", "dev", name, "mode", "tap", "user", String(tap.uid ?? process.getuid?.() ?? 0)],
		`make the tap ${name}`,
	);
	try {
		await ip(["link", "set", "dev", name, "master", bridge, "up"], `connect the tap ${name} to ${bridge}`);
	} catch (error) {
		await removeTap(name).catch(() => undefined);
		throw error;
	}
}

/** No tap of that name: no change. */
export async function removeTap(name: string): Promise<void> {
	if (await linkExists(name)) await ip(["link", "delete", "dev", name], `remove the tap ${name}`);
}

/** What the guest received and sent: the tap counts the other way round. Zero for a tap that is gone. */
export async function readTapCounters(name: string): Promise<{ receiveBytes: number; transmitBytes: number }> {
	const line = (await readFile("/proc/self/net/dev", "utf8"))
		.split("\n")
		.find((text) => text.trim().startsWith(`${name}:`));
	const fields =
		line
			?.slice(line.indexOf(":") + 1)
			.trim()
			.split(/\s+/)
			.map(Number) ?? [];
	return { receiveBytes: fields[8] ?? 0, transmitBytes: fields[0] ?? 0 };
}

/** udev gives /dev/net/tun the mode 0666 because making a device needs CAP_NET_ADMIN anyway; bare containers lack that rule. */
async function openTunDevice(): Promise<void> {
	const device = "/dev/net/tun";
	const { mode } = await stat(device).catch((cause: unknown) => {
		throw new SternaError("unavailable", `this host has no ${device}: NICs on a bridge need it`, {
			cure: "modprobe tun",
			cause,
		});
	});
	if ((mode & 0o006) !== 0o006) await chmod(device, 0o666);
}

async function linkExists(name: string): Promise<boolean> {
	return (await readFile("/proc/self/net/dev", "utf8")).split("\n").some((line) => line.trim().startsWith(`${name}:`));
}

function ip(args: string[], purpose: string): Promise<string> {
	return runTool({ program: "ip", arguments: args, timeoutMs: 5000, purpose });
}
