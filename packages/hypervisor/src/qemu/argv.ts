import { SternaError } from "@sterna/shared/errors";
import { type Accelerator, GuestSpec } from "@sterna/shared/guest";
import type { StartRequest } from "../hypervisor.ts";
import { diskNode } from "./block-nodes.ts";
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
	/** A migration's target: CPUs held, memory from a socket that is named later. */
	incoming: boolean;
}

/** Slots of the root bus. What a guest finds where must stay: a move fails, and a booted guest breaks, when it shifts. */
const rootPortSlot = 0x1;
const rngSlot = 0x2;
const firstNicSlot = 0x3;
const firstDiskSlot = 0xb;
/** Empty PCIe ports, for devices that are added while the guest runs. */
const spareRootPorts = 4;

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
	return Array.from({ length: spareRootPorts }, (_, index) => [
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

/** Direct, because a cached page on the host that a guest left would be stale when it comes back. */
function disks({ request, directIo }: ArgvInput): string[] {
	return request.volumes.flatMap(({ path }, index) => {
		const node = diskNode(index);
		const file = {
			driver: "file",
			"node-name": `${node}-file`,
			filename: path,
			discard: "unmap",
			cache: { direct: directIo[index] ?? false, "no-flush": false },
		};
		// Volumes stand alone: a backing file that somebody wrote into the header is not opened.
		const alone = { backing: null };
		const volume = { driver: "qcow2", "node-name": node, discard: "unmap", "detect-zeroes": "unmap", ...alone, file };
		const device = {
			driver: "virtio-blk-pci",
			id: `vd${index}`,
			drive: node,
			bus: "pcie.0",
			addr: hex(firstDiskSlot + index),
			...(request.spec.boot.from === "disk" ? { bootindex: index + 1 } : {}),
		};
		return ["-blockdev", json(volume), "-device", json(device)];
	});
}

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
