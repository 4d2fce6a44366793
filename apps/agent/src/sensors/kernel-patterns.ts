import type { Severity } from "@sterna/shared/health";
import { dayMs, hourMs, minuteMs } from "./sensor.ts";

/** So many of the same message on one part within the window are that bad. */
export interface Rate {
	severity: Severity;
	count: number;
	windowMs: number;
}

export interface KernelPattern {
	signal: string;
	/** Anchored at the beginning where possible: messages also carry names that local users choose. Group `part`: what it is about. */
	pattern: RegExp;
	/** What the part is, to name it: `/dev/` before a block device. */
	part: "block" | "nic" | "memory" | "cpu" | "other";
	/** Worst first. */
	rates: Rate[];
	/** Believed at first sight, without a second sample. */
	oneShot?: true;
}

const tenMinutesMs = 10 * minuteMs;
const any = (severity: Severity, windowMs = dayMs): Rate => ({ severity, count: 1, windowMs });
const tenMinutes = (severity: Severity, count: number): Rate => ({ severity, count, windowMs: tenMinutesMs });

const block = "(?<part>[a-zA-Z][\\w!-]{0,31})";

/** Messages of the kernel that tell of failing parts; the first that fits a line decides. */
export const kernelPatterns: readonly KernelPattern[] = [
	{
		signal: "uncorrectedMemoryError",
		pattern: /^EDAC (?<part>MC\d+): \d+ UE /,
		part: "memory",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "memoryFailure",
		pattern: /^(?:mce: )?Memory failure: (?<part>0x[0-9a-f]{1,16}): /,
		part: "memory",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "uncorrectedMemoryError",
		pattern: /^mce: (?:\[Hardware Error\]: )?Uncorrected (?:hardware )?memory error/i,
		part: "memory",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "machineCheck",
		pattern: /^(?:mce: )?\[Hardware Error\]: Machine check/,
		part: "cpu",
		rates: [any("watch")],
	},
	{
		signal: "softLockup",
		pattern: /^(?:watchdog: )?BUG: soft lockup - (?<part>CPU#\d{1,4}) stuck/,
		part: "cpu",
		rates: [{ severity: "failing", count: 2, windowMs: hourMs }, any("degraded", hourMs)],
	},
	{
		signal: "rcuStall",
		pattern: /^(?:rcu: )?INFO: rcu_\w{1,20} (?:self-detected stall|detected stalls) on CPU/,
		part: "cpu",
		rates: [{ severity: "failing", count: 2, windowMs: hourMs }, any("degraded", hourMs)],
	},
	{
		signal: "mediumErrors",
		pattern: new RegExp(`^(?:blk_update_request: |print_req_error: )?critical medium error, dev ${block}, sector`),
		part: "block",
		rates: [tenMinutes("degraded", 3), any("watch")],
	},
	{
		signal: "ioErrors",
		pattern: new RegExp(`^(?:blk_update_request: |print_req_error: )?I/O error, dev ${block}, sector`),
		part: "block",
		rates: [tenMinutes("degraded", 10), any("watch")],
	},
	{
		signal: "bufferErrors",
		pattern: new RegExp(`^Buffer I/O error on dev(?:ice)? ${block}, `),
		part: "block",
		rates: [tenMinutes("degraded", 10), any("watch")],
	},
	{
		signal: "controllerResets",
		pattern:
			/^nvme (?<part>nvme\d{1,4}): .{0,120}(?:reset controller|controller is down; will reset|resetting controller)/,
		part: "block",
		rates: [tenMinutes("failing", 3), any("watch")],
	},
	{
		signal: "controllerDead",
		pattern:
			/^nvme (?<part>nvme\d{1,4}): (?:Device not ready; aborting reset|Removing after probe failure|Disabling device after reset failure)/,
		part: "block",
		rates: [any("failing")],
	},
	{
		signal: "commandTimeouts",
		pattern: /^nvme (?<part>nvme\d{1,4}): .{0,120}timeout, /,
		part: "block",
		rates: [tenMinutes("degraded", 3), any("watch")],
	},
	{
		signal: "linkResets",
		pattern: /^(?<part>ata\d{1,4}(?:\.\d{1,2})?): hard resetting link/,
		part: "other",
		rates: [tenMinutes("degraded", 3), any("watch")],
	},
	{
		signal: "hungTasks",
		pattern: /^INFO: task .{1,80} blocked for more than \d+ seconds/,
		part: "other",
		rates: [tenMinutes("degraded", 3), any("watch")],
	},
	{
		signal: "remountedReadOnly",
		pattern: new RegExp(`^EXT4-fs \\(${block}\\): Remounting filesystem read-only`),
		part: "block",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "filesystemShutDown",
		pattern: new RegExp(`^XFS \\(${block}\\): .{0,120}[Ss]hutting down filesystem`),
		part: "block",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "remountedReadOnly",
		pattern: new RegExp(`^BTRFS (?:info|error|critical) \\(device ${block}(?: state \\w{1,8})?\\): forced readonly`),
		part: "block",
		rates: [any("failing")],
		oneShot: true,
	},
	{
		signal: "filesystemErrors",
		pattern: new RegExp(`^EXT4-fs error \\(device ${block}\\)`),
		part: "block",
		rates: [any("degraded")],
	},
	{
		signal: "pcieFatalErrors",
		pattern: /^(?:pcieport |\w{1,20} )(?<part>[0-9a-f:.]{7,16}): AER: .{0,60}\(Fatal\)/,
		part: "other",
		rates: [any("failing")],
	},
	{
		signal: "pcieNonFatalErrors",
		pattern: /^(?:pcieport |\w{1,20} )(?<part>[0-9a-f:.]{7,16}): AER: .{0,60}\(Non-Fatal\)/,
		part: "other",
		rates: [any("degraded")],
	},
	{
		signal: "pcieCorrectedErrors",
		pattern: /^(?:pcieport |\w{1,20} )(?<part>[0-9a-f:.]{7,16}): AER: .{0,60}[Cc]orrect(?:ed|able) error/,
		part: "other",
		rates: [{ severity: "watch", count: 100, windowMs: hourMs }],
	},
	{
		signal: "transmitTimeouts",
		pattern: /NETDEV WATCHDOG: (?<part>[\w.@-]{1,15})(?: \(|: )/,
		part: "nic",
		rates: [tenMinutes("degraded", 3), any("watch")],
	},
	{
		signal: "outOfMemoryKills",
		pattern: /^(?:Memory cgroup out of memory|Out of memory): Killed process \d+/,
		part: "other",
		rates: [any("watch", hourMs)],
	},
];
