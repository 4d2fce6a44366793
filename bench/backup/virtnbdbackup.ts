import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { join } from "node:path";
import type { GuestImage } from "../../demo/guest/build.ts";
import { guestCommandLine } from "../../demo/guest/command-line.ts";
import { until } from "../../demo/until.ts";
import { run } from "../../scripts/system/run.ts";
import type { Contestant, Step } from "./contestant.ts";
import { changedPieces, dataBytes, pieceBytes } from "./disk.ts";
import { bytesBelow, cpuOf, findProcess, measureCommand, round } from "./measure.ts";

/** A libvirt of its own: nothing of the machine's is used or changed (libvirtd(8), qemu.conf). */
const configuration = {
	"qemu.conf": [
		'user = "root"',
		'group = "root"',
		"dynamic_ownership = 0",
		'security_driver = "none"',
		'stdio_handler = "file"',
		"namespaces = []",
		"cgroup_controllers = []",
	],
	"libvirtd.conf": ['auth_unix_rw = "none"', 'unix_sock_group = "root"', `host_uuid = "${crypto.randomUUID()}"`],
};
const domain = "sterna-bench";
const emulator = "/usr/bin/qemu-system-x86_64";

/** virtnbdbackup, from a running guest of libvirt, in a mount namespace of their own. */
export async function virtnbdbackup(image: GuestImage, folder: string, qemuImg: string): Promise<Contestant> {
	const libvirt = await startLibvirt(folder);
	const inside = ["-t", String(libvirt.pid), "-m", "--"];
	const virsh = (...args: string[]) => run("nsenter", [...inside, "virsh", "-q", "-c", "qemu:///system", ...args]);
	const version = (await run("virtnbdbackup", ["--version"])).trim();
	return {
		name: "virtnbdbackup",
		about: `virtnbdbackup ${version} from a running guest (libvirt, QEMU of the distribution), neither compressed nor encrypted`,
		async round({ base, folder: work }) {
			const [store, target, disk] = ["store", "target", "disk.qcow2"].map((name) => join(work, name)) as [
				string,
				string,
				string,
			];
			for (const path of [store, target]) await mkdir(path);
			await run(qemuImg, ["convert", "-f", "raw", "-O", "qcow2", base, disk]);
			const serial = join(folder, "serial");
			await writeFile(join(work, "domain.xml"), domainXml(image, disk, serial));
			await virsh("create", join(work, "domain.xml"));
			try {
				const console = await GuestConsole.open(serial);
				await console.waitFor(/heartbeat seq/);
				const save = async (level: string): Promise<Step> => {
					const qemu = findProcess(domain);
					const [before, qemuS] = [await bytesBelow(store), cpuOf(qemu)];
					const own = await measureCommand("nsenter", [
						...inside,
						"virtnbdbackup",
						"-d",
						domain,
						"-l",
						level,
						"-o",
						store,
					]);
					const qemuCpuS = round(cpuOf(qemu) - qemuS);
					const storedBytes = (await bytesBelow(store)) - before;
					return { wallS: own.wallS, cpuS: round(own.cpuS + qemuCpuS), qemuCpuS, storedBytes };
				};
				const full = await save("full");
				console.type("\nscatter");
				console.type(` ${changedPieces} ${dataBytes / pieceBytes}\n`);
				await console.waitFor(new RegExp(`scatter: ${changedPieces} blocks`));
				const incremental = await save("inc");
				const restored = await measureCommand("nsenter", [
					...inside,
					"virtnbdrestore",
					"-a",
					"restore",
					"-i",
					store,
					"-o",
					target,
				]);
				console.close();
				return { full, incremental, restore: { ...restored, storedBytes: null } };
			} finally {
				await virsh("destroy", domain).catch(() => {});
			}
		},
		close: async () => {
			// Its guests outlive it.
			await virsh("destroy", domain).catch(() => {});
			libvirt.kill();
		},
	};
}

async function startLibvirt(folder: string): Promise<ChildProcess> {
	const places = ["/run/libvirt", "/var/lib/libvirt", "/etc/libvirt", "/var/cache/libvirt", "/var/log/libvirt"];
	const binds: string[] = [];
	for (const [index, place] of places.entries()) {
		const own = join(folder, String(index));
		for (const path of [own, place]) await mkdir(path, { recursive: true });
		binds.push(`mount --bind "${own}" "${place}"`);
	}
	for (const [name, lines] of Object.entries(configuration))
		await writeFile(join(folder, "2", name), `${lines.join("\n")}\n`);
	// A /dev/kvm that is there and does not work makes libvirt give up on the emulator.
	const script = [
		...binds,
		"if [ -e /dev/kvm ]; then mount --bind /dev/null /dev/kvm; fi",
		"exec libvirtd -f /etc/libvirt/libvirtd.conf",
	];
	const child = spawn("unshare", ["-m", "--propagation", "private", "sh", "-ec", script.join("\n")], {
		stdio: "ignore",
	});
	await until("libvirt to answer", 30_000, async () => {
		const args = ["-t", String(child.pid), "-m", "--", "virsh", "-q", "-c", "qemu:///system", "list"];
		return run("nsenter", args).then(
			() => true,
			() => false,
		);
	}).catch((error) => {
		child.kill();
		throw error;
	});
	return child;
}

function domainXml(image: GuestImage, disk: string, serial: string): string {
	return `<domain type='qemu'><name>${domain}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>${image.kernel}</kernel><initrd>${image.initrd}</initrd>
<cmdline>${guestCommandLine({ name: "bench", load: "idle" })}</cmdline></os><features><acpi/></features>
<devices><emulator>${emulator}</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
<serial type='unix'><source mode='bind' path='${serial}'/></serial>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>`;
}

/** The serial line of a guest, as a person would use it. */
class GuestConsole {
	readonly #socket;
	#heard = "";

	private constructor(path: string) {
		this.#socket = createConnection(path);
		this.#socket.on("data", (data: Buffer) => {
			this.#heard += data.toString("latin1");
		});
		this.#socket.on("error", () => {}); // what is waited for never comes, and says so
	}

	static async open(path: string): Promise<GuestConsole> {
		return new GuestConsole(path);
	}

	type(text: string): void {
		this.#socket.write(text);
	}

	async waitFor(pattern: RegExp): Promise<void> {
		await until(`${pattern} on the serial line`, 120_000, async () => pattern.test(this.#heard));
	}

	close(): void {
		this.#socket.destroy();
	}
}
