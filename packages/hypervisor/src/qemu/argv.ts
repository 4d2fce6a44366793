import { SternaError } from "@sterna/shared/errors";
import { type Accelerator, GuestSpec } from "@sterna/shared/guest";
import { sparePortCount, type VolumeSeat } from "@sterna/shared/volume";
import type { StartRequest, VolumeSource } from "../hypervisor.ts";
import { diskNode, sourceNode } from "./block-nodes.ts";
import { diskDevice, seatIn, volumeNodes } from "./disk-devices.ts";
import type { GuestPaths } from "./paths.ts";

export interface ArgvInput {
	request: StartRequest;
	paths: GuestPaths;
	accelerator: Exclude<Accelerator, "simulated">;
	/** Versioned: `pc-q35-10.0`. */
	machine: string;
	/** The tap of each NIC on a bridge, null for the others, in the spec's order. */
	taps: (string | null)[];
	/** Whether each volume's filesystem can read and write past the host's cache, in the spec's order. */
	directIo: boolean[];
	/** Volumes that do not sit where their place in the spec puts them. */
	seats: readonly VolumeSeat[];
	/** What volumes that are not completely here are read from. */
	sources: readonly VolumeSource[];
	/** A migration's target: CPUs held, memory from a socket that is named later. */
	incoming: boolean;
}

/** Slots of the root bus. What a guest finds where must stay: a move fails, and a booted guest breaks, when it shifts. */
const rootPortSlot = 0x1;
const rngSlot = 0x2;
const firstNicSlot = 0x3;
/** The volumes of the spec take 0xb to 0x1a. */
const guestAgentSlot = 0x1b;
/** QEMU's end of the line to an agent in the guest. */
export const agentChardev = "agent";
const screenSlot = 0x1c;
/** As much as 1280 × 800 takes, what guests choose by themselves; each byte of it travels with the guest. */
const videoMemoryMiB = 4;

/**
 * The arguments that start a guest's QEMU. Everything that has a JSON form is given in it, so that no text of a person
 * is ever read as options; the rest is numbers, ids and checked paths with commas doubled (qemu(1), "-chardev").
 * @throws {SternaError} `invalid` when the request does not fit together.
 */
export function qemuArgv(input: ArgvInput): string[] {
	const { request, paths, accelerator, machine, incoming } = input;
	const spec = check(input);
	return [
		...["-name", `guest=${spec.name},process=${`sterna:${spec.name}`.slice(0, 15)},debug-threads=on`],
		...["-uuid", spec.id],
		"-no-user-config",
		"-nodefaults",
		...["-display", "none"],
		...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
		...["-machine", `${machine},memory-backend=mem0,usb=off,vmport=off,dump-guest-core=off`],
		...["-accel", accelerator],
		// Every server since 2010 has it, and guests built for x86-64-v2 need no more: they can move between any two.
		...["-cpu", "Westmere-v1"],
		...["-smp", `cpus=${spec.vcpus},sockets=1,cores=${spec.vcpus},threads=1`],
		...["-m", `size=${spec.memoryBytes / (1024 * 1024)}M`],
		...["-object", json({ "qom-type": "memory-backend-ram", id: "mem0", size: spec.memoryBytes })],
		// The guest's own power-off leaves QEMU there to be asked, so that it is never taken for a crash.
		...["-action", "shutdown=pause"],
		...["-rtc", "base=utc,driftfix=slew"],
		...monitor("qmp", paths.qmp),
		...monitor("rescue", paths.rescue),
		...["-chardev", `${socketChardev("serial", paths.serial)},logfile=${doubleCommas(paths.serialLog)},logappend=on`],
		...["-device", json({ driver: "isa-serial", id: "serial0", chardev: "serial" })],
		...rootPorts(),
		...["-object", json({ "qom-type": "rng-random", id: "rng0", filename: "/dev/urandom" })],
		...["-device", json({ driver: "virtio-rng-pci", id: "vrng0", rng: "rng0", bus: "pcie.0", addr: hex(rngSlot) })],
		...nics(input),
		...disks(input),
		...guestAgent(paths),
		...["-device", json(screen)],
		...boot(request),
		...(incoming ? ["-incoming", "defer", "-S"] : []),
	];
}

function check({ request, taps, machine }: ArgvInput): GuestSpec {
	const spec = GuestSpec.parse(request.spec);
	const paths = [...request.volumes.map((volume) => volume.path), request.kernelPath, request.initrdPath];
	for (const path of paths) {
		if (path !== undefined && (!path.startsWith("/") || path.includes("\0"))) {
			throw new SternaError("invalid", `${JSON.stringify(path)} is no absolute path`);
		}
	}
	const sameVolumes =
		request.volumes.length === spec.volumes.length &&
		spec.volumes.every((volume, index) => volume.id === request.volumes[index]?.volumeId);
	if (!sameVolumes)
		throw new SternaError("invalid", `guest ${spec.name}: the volumes are not those of its spec, in order`);
	if (request.nics.length !== spec.nics.length || taps.length !== spec.nics.length) {
		throw new SternaError(
			"invalid",
			`guest ${spec.name} has ${spec.nics.length} NICs; say of each how it is connected`,
		);
	}
	if (spec.boot.from === "kernel" && request.kernelPath === undefined) {
		throw new SternaError("invalid", `guest ${spec.name} boots a kernel, but its path is missing`);
	}
	if (!/^pc-q35-\d+\.\d+$/.test(machine)) {
		throw new SternaError(
			"incompatible",
			`guest ${spec.name}: ${JSON.stringify(machine)} is no machine type of this driver`,
			{
				cure: "use a versioned pc-q35 machine",
			},
		);
	}
	return spec;
}

function monitor(id: string, path: string): string[] {
	return ["-chardev", socketChardev(id, path), "-mon", `chardev=${id},mode=control`];
}

function socketChardev(id: string, path: string): string {
	return `socket,id=${id},path=${doubleCommas(path)},server=on,wait=off`;
}

function rootPorts(): string[] {
	return Array.from({ length: sparePortCount }, (_, index) => [
		"-device",
		json({
			driver: "pcie-root-port",
			id: `port${index}`,
			bus: "pcie.0",
			addr: `${hex(rootPortSlot)}.${index}`,
			multifunction: index === 0,
			chassis: index + 1,
		}),
	]).flat();
}

function nics({ request, taps }: ArgvInput): string[] {
	return request.spec.nics.flatMap((nic, index) => {
		const tap = taps[index];
		const backend = tap
			? { type: "tap", id: `net${index}`, ifname: tap, script: "no", downscript: "no", vhost: false }
			: { type: "user", id: `net${index}` };
		const device = {
			driver: "virtio-net-pci",
			id: `nic${index}`,
			netdev: `net${index}`,
			mac: nic.mac,
			romfile: "",
			bus: "pcie.0",
			addr: hex(firstNicSlot + index),
		};
		return ["-netdev", json(backend), "-device", json(device)];
	});
}

function disks({ request, directIo, seats, sources }: ArgvInput): string[] {
	return request.volumes.flatMap(({ volumeId, path }, index) => {
		const seat = seatIn(seats, volumeId);
		const node = diskNode(index, seat.moves);
		const nodes = volumeNodes({ node, path, directIo: directIo[index] ?? false });
		// What was attached to a running guest was nothing to boot from, nor is it on the host that the guest moves to.
		const boots = request.spec.boot.from === "disk" && seat.port === null;
		const device = { ...diskDevice(index, seat), ...(boots ? { bootindex: index + 1 } : {}) };
		const source = sources.find((candidate) => candidate.volumeId === volumeId);
		if (!source) return [...nodes.flatMap((node) => ["-blockdev", json(node)]), "-device", json(device)];
		const behind = nodes.map((node) => (node.driver === "qcow2" ? { ...node, backing: sourceNode(index) } : node));
		return [
			...[sourceOf(source, index), ...behind].flatMap((node) => ["-blockdev", json(node)]),
			// The guest waits for its source instead of hearing of errors.
			...["-device", json({ ...device, rerror: "stop", werror: "stop" })],
		];
	});
}

/** A server that comes back by then is not missed by the guest, one that does not pauses it. */
const sourcePatienceSeconds = 3;

function sourceOf({ socket, exportName }: VolumeSource, index: number) {
	const server = { type: "unix", path: socket };
	const how = { "read-only": true, "reconnect-delay": sourcePatienceSeconds };
	return { driver: "nbd", "node-name": sourceNode(index), server, export: exportName, ...how };
}

/** The line to an agent in the guest, under the name that qemu-guest-agent looks for (its manual, "--path"). */
function guestAgent(paths: GuestPaths): string[] {
	const bus = { driver: "virtio-serial-pci", id: "vserial0", bus: "pcie.0", addr: hex(guestAgentSlot), max_ports: 2 };
	const name = "org.qemu.guest_agent.0";
	const port = { driver: "virtserialport", id: "agent0", bus: "vserial0.0", nr: 1, chardev: agentChardev, name };
	return ["-chardev", socketChardev(agentChardev, paths.agent), "-device", json(bus), "-device", json(port)];
}

/** Nobody looks at it but a picture that is asked for. */
const screen = { driver: "VGA", id: "screen0", vgamem_mb: videoMemoryMiB, bus: "pcie.0", addr: hex(screenSlot) };

function boot({ spec, kernelPath, initrdPath }: StartRequest): string[] {
	if (spec.boot.from === "disk" || kernelPath === undefined) return [];
	return [
		...["-kernel", kernelPath],
		...(initrdPath === undefined ? [] : ["-initrd", initrdPath]),
		...["-append", spec.boot.commandLine],
	];
}

/** A comma ends a value; two of them are one comma (qemu(1), "-name" and "-chardev"). */
function doubleCommas(text: string): string {
	return text.replaceAll(",", ",,");
}

function hex(slot: number): string {
	return `0x${slot.toString(16)}`;
}

function json(value: object): string {
	return JSON.stringify(value);
}
