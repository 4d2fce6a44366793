import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createConnection } from "node:net";
import { join } from "node:path";
import type { Qemu } from "../../scripts/system/qemu.ts";
import type { GuestImage } from "./build.ts";
import { type GuestSettings, guestCommandLine } from "./command-line.ts";

type Boot = {
	qemu: Qemu;
	image: GuestImage;
	settings: GuestSettings;
	/** A folder of this guest's own, for its QMP socket. */
	dir: string;
	/** A raw disk image. */
	disk?: string;
	hasNetwork?: boolean;
	/** Where the guest agent's channel becomes a unix socket. */
	agentSocket?: string;
};

/** A demo guest that runs in a QEMU of its own, without Sterna: to test the guest itself. */
export class BootedGuest {
	/** All that came out of the serial line so far. */
	serial = "";
	readonly #process: ChildProcessWithoutNullStreams;
	readonly #ended: Promise<number | null>;
	readonly #qmpPath: string;
	readonly #onSerial = new Set<() => void>();
	#errors = "";

	constructor(boot: Boot) {
		this.#qmpPath = join(boot.dir, "qmp");
		this.#process = spawn(boot.qemu.system, qemuArguments(boot, this.#qmpPath));
		this.#ended = new Promise((resolve, reject) => {
			this.#process.on("close", resolve);
			this.#process.on("error", reject);
		});
		this.#process.stdout.on("data", (chunk: Buffer) => {
			this.serial += chunk.toString();
			for (const look of this.#onSerial) look();
		});
		this.#process.stderr.on("data", (chunk: Buffer) => {
			this.#errors += chunk.toString();
		});
	}

	/** Waits until the serial line has shown `pattern`. Throws after `timeoutMs`, or at once when QEMU has ended. */
	async waitFor(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
		const match = pattern.exec(this.serial);
		if (match) return match;
		return new Promise((resolve, reject) => {
			const settle = (answer: () => void) => {
				clearTimeout(timer);
				this.#onSerial.delete(look);
				answer();
			};
			const look = () => {
				const found = pattern.exec(this.serial);
				if (found) settle(() => resolve(found));
			};
			const fail = (why: string) =>
				settle(() => reject(new Error(`${why} before ${pattern}: ${this.#errors}${this.serial.slice(-2000)}`)));
			const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
			this.#onSerial.add(look);
			this.#ended.then(() => fail("QEMU ended"), reject);
		});
	}

	/** Types on the serial line. */
	type(text: string): void {
		this.#process.stdin.write(text);
	}

	/** Presses the power button; the guest decides what to do about it. */
	async pressPowerButton(): Promise<void> {
		const socket = createConnection(this.#qmpPath);
		socket.end('{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}');
		socket.resume();
		await once(socket, "close");
	}

	/** The exit code of QEMU, once it has ended; null when a signal ended it. */
	ended(): Promise<number | null> {
		return this.#ended;
	}

	/** Ends QEMU if it still runs. */
	async stop(): Promise<void> {
		this.#process.kill("SIGKILL");
		await this.#ended;
	}
}

function qemuArguments(boot: Boot, qmpPath: string): string[] {
	const machine = "-machine q35 -accel tcg -cpu qemu64 -m 128 -smp 1 -nodefaults -no-user-config -display none".split(
		" ",
	);
	const consoles = [
		"-chardev",
		"stdio,id=serial,signal=off",
		"-device",
		"isa-serial,chardev=serial",
		"-qmp",
		`unix:${qmpPath},server=on,wait=off`,
	];
	const system = [
		"-kernel",
		boot.image.kernel,
		"-initrd",
		boot.image.initrd,
		"-append",
		guestCommandLine(boot.settings),
	];
	const file = {
		driver: "raw",
		"node-name": "disk0",
		file: { driver: "file", filename: boot.disk, cache: { direct: true } },
	};
	const disk =
		boot.disk === undefined ? [] : ["-blockdev", JSON.stringify(file), "-device", "virtio-blk-pci,drive=disk0"];
	const network = boot.hasNetwork ? ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="] : [];
	const agent =
		boot.agentSocket === undefined
			? []
			: [
					"-chardev",
					`socket,id=agent,path=${boot.agentSocket},server=on,wait=off`,
					...["-device", "virtio-serial-pci"],
					...["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
				];
	return [...machine, ...consoles, ...system, ...disk, ...network, ...agent];
}
