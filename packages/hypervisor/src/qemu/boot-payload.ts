import { spawn } from "node:child_process";
import { printable } from "@sterna/shared/names";
import { readCpuTimeMs } from "./process.ts";

/**
 * How long the payload is waited for. One that works needs a fraction of a second of the processor; on an accelerator
 * that cannot run it, it would loop for ever. So what counts is the processor time that it was given: on a machine that
 * is busy it is waited for longer, and none falls to software emulation because of one bad moment.
 */
export interface Patience {
	processorMs: number;
	/** When it is not even given its processor time, or sleeps. */
	wallMs: number;
}

export type Trial =
	| { runs: true }
	/** `isFinal`: another try would tell the same. Not so where it was not given its time, or QEMU itself gave up. */
	| { runs: false; reason: string; isFinal: boolean };

/** A disk with boot-sectors/probe.s: goes to 64-bit mode, counts with SSE, changes its page tables, prints `boots`. */
export const payloadDisk = bootSector(
	"fa31c08ed88ec08ed0bc007cbf0010b90018fcf3ab66c70600100320000066c70600200330000066c7060030830000000f20e0660d200600000f22e066b8001000000f22d866b9800000c00f32660d000100000f300f0116e87c0f20c06683e0fb660d030000800f22c0ea6f7c0800b8100000008ed08ed848c7c4007c000031c00fa2660f6ec0660ffec0c7042500200000033000000f20d80f22d848b8f0debc9a7856341248c1c0203d785634127513488d350f00000066baf803ac84c07403eeebf8f4ebfd626f6f74730a006690000000000000000000000000009a200000000000009200001700d07c",
);
const payloadText = "boots";
const lookEveryMs = 50;

/** Runs the command, whose serial line is its output, until the payload answers, it ends, or patience does. */
export function bootPayload(command: readonly string[], subject: string, patience: Patience): Promise<Trial> {
	const [program = "", ...args] = command;
	const qemu = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
	const startedAt = performance.now();
	return new Promise((fulfil) => {
		let serial = "";
		let words = "";
		let given: { up: string; isFinal: boolean } | null = null;
		const giveUp = (up: string, isFinal: boolean) => {
			given ??= { up, isFinal };
			qemu.kill("SIGKILL");
		};
		const looking = setInterval(() => {
			const { processorMs, wallMs } = patience;
			if (performance.now() - startedAt > wallMs) giveUp(`within ${wallMs / 1000} s`, false);
			// Whether or not it can be looked at just now, it does not go on past the other deadline.
			const look = qemu.pid === undefined ? null : readCpuTimeMs(qemu.pid).catch(() => null);
			void look?.then((cpuTimeMs) => {
				if ((cpuTimeMs ?? 0) > processorMs) giveUp(`in ${processorMs / 1000} s of processor time`, true);
			});
		}, lookEveryMs);
		qemu.stdout.setEncoding("utf8").on("data", (text: string) => {
			serial = (serial + text).slice(-4096);
			if (serial.includes(payloadText)) qemu.kill("SIGKILL");
		});
		qemu.stderr.setEncoding("utf8").on("data", (text: string) => {
			words = (words + text).slice(0, 4096);
		});
		qemu.on("error", (error) => {
			words = error.message;
		});
		qemu.on("close", () => {
			clearInterval(looking);
			if (serial.includes(payloadText)) return fulfil({ runs: true });
			const how = given ? `did not answer ${given.up}` : "ended QEMU";
			const line = words.split("\n").find((candidate) => candidate !== "" && !candidate.includes("warning:"));
			const said = line ? ` (${printable(line.replace(/^.*?qemu-system-\w+: /, ""), 200)})` : "";
			fulfil({ runs: false, reason: `${subject} ${how}${said}`, isFinal: given?.isFinal ?? false });
		});
	});
}

/** One sector with its signature, in a disk of 1 MiB. */
function bootSector(code: string): Buffer {
	const disk = Buffer.alloc(1024 * 1024);
	disk.write(code, "hex");
	disk.writeUInt16LE(0xaa55, 510);
	return disk;
}
