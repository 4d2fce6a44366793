// Written by generate-qmp-types.ts out of QEMU's own schema; change that file and run it again.
import { z } from "zod";

/** An enumeration that newer releases may have added to. */
function known<const Values extends readonly [string, ...string[]]>(values: Values) {
	return z.enum([...values, "unknown"]).catch("unknown");
}

/** What each command is told. */
export interface CommandArguments {
	"block-dirty-bitmap-add": { node: string; name: string; granularity?: number; persistent?: boolean; disabled?: boolean };
	"block-dirty-bitmap-disable": { node: string; name: string };
	"block-dirty-bitmap-enable": { node: string; name: string };
	"block-dirty-bitmap-merge": { node: string; target: string; bitmaps: Array<string | { node: string; name: string }> };
	"block-dirty-bitmap-remove": { node: string; name: string };
	"block-export-add": { type: "nbd"; id: string; "node-name": string; writable?: boolean; name?: string; bitmaps?: Array<string | { node: string; name: string }> };
	"block-export-del": { id: string; mode?: "safe" | "hard" };
	"block-job-cancel": { device: string; force?: boolean };
	"block-job-change": { id: string; type: "mirror"; "copy-mode": "background" | "write-blocking" };
	"block-job-complete": { device: string };
	"block-job-resume": { device: string };
	"block-stream": { "job-id"?: string; device: string; "on-error"?: "report" | "ignore" | "enospc" | "stop" | "auto"; "auto-finalize"?: boolean };
	block_resize: { "node-name"?: string; size: number };
	"blockdev-add": { driver: "file"; "node-name"?: string; filename: string; discard?: "ignore" | "unmap"; cache?: { direct?: boolean; "no-flush"?: boolean } } | { driver: "nbd"; "node-name"?: string; server: { type: "inet"; host: string; port: string; numeric?: boolean; to?: number; ipv4?: boolean; ipv6?: boolean; "keep-alive"?: boolean; mptcp?: boolean } | { type: "unix"; path: string; abstract?: boolean; tight?: boolean } | { type: "vsock"; cid: string; port: string } | { type: "fd"; str: string }; export?: string; discard?: "ignore" | "unmap"; "detect-zeroes"?: "off" | "on" | "unmap"; "read-only"?: boolean; "reconnect-delay"?: number } | { driver: "qcow2"; "node-name"?: string; file: string; backing?: string | null; discard?: "ignore" | "unmap"; "detect-zeroes"?: "off" | "on" | "unmap" } | { driver: "raw"; "node-name"?: string; file: string; discard?: "ignore" | "unmap" } | { driver: "copy-before-write"; "node-name"?: string; file: string; target: string; discard?: "ignore" | "unmap"; "on-cbw-error"?: "break-guest-write" | "break-snapshot"; "cbw-timeout"?: number } | { driver: "snapshot-access"; "node-name"?: string; file: string };
	"blockdev-del": { "node-name": string };
	"blockdev-reopen": { options: Array<{ driver: "qcow2"; "node-name"?: string; discard?: "ignore" | "unmap"; cache?: { direct?: boolean; "no-flush"?: boolean }; active?: boolean; "read-only"?: boolean; "auto-read-only"?: boolean; "force-share"?: boolean; "detect-zeroes"?: "off" | "on" | "unmap"; file: string; backing?: string | null; "lazy-refcounts"?: boolean; "pass-discard-request"?: boolean; "pass-discard-snapshot"?: boolean; "pass-discard-other"?: boolean; "discard-no-unref"?: boolean; "overlap-check"?: { template?: "none" | "constant" | "cached" | "all"; "main-header"?: boolean; "active-l1"?: boolean; "active-l2"?: boolean; "refcount-table"?: boolean; "refcount-block"?: boolean; "snapshot-table"?: boolean; "inactive-l1"?: boolean; "inactive-l2"?: boolean; "bitmap-directory"?: boolean } | "none" | "constant" | "cached" | "all"; "cache-size"?: number; "l2-cache-size"?: number; "l2-cache-entry-size"?: number; "refcount-cache-size"?: number; "cache-clean-interval"?: number; encrypt?: { format: "aes"; "key-secret"?: string } | { format: "luks"; "key-secret"?: string }; "data-file"?: string } | { driver: "raw"; "node-name"?: string; discard?: "ignore" | "unmap"; cache?: { direct?: boolean; "no-flush"?: boolean }; active?: boolean; "read-only"?: boolean; "auto-read-only"?: boolean; "force-share"?: boolean; "detect-zeroes"?: "off" | "on" | "unmap"; file: string; offset?: number; size?: number }> };
	"blockdev-mirror": { "job-id"?: string; device: string; target: string; sync: "top" | "full" | "none" | "incremental" | "bitmap"; "copy-mode"?: "background" | "write-blocking" };
	cont: Record<string, never>;
	device_add: { driver: string; id?: string; bus?: string; [property: string]: unknown };
	"job-finalize": { id: string };
	migrate: { uri?: string };
	"migrate-continue": { state: "none" | "setup" | "cancelling" | "cancelled" | "active" | "postcopy-active" | "postcopy-paused" | "postcopy-recover-setup" | "postcopy-recover" | "completed" | "failed" | "colo" | "pre-switchover" | "device" | "wait-unplug" };
	"migrate-incoming": { uri?: string; "exit-on-error"?: boolean };
	"migrate-set-capabilities": { capabilities: Array<{ capability: "xbzrle" | "rdma-pin-all" | "auto-converge" | "zero-blocks" | "events" | "postcopy-ram" | "x-colo" | "release-ram" | "return-path" | "pause-before-switchover" | "multifd" | "dirty-bitmaps" | "postcopy-blocktime" | "late-block-activate" | "x-ignore-shared" | "validate-uuid" | "background-snapshot" | "zero-copy-send" | "postcopy-preempt" | "switchover-ack" | "dirty-limit" | "mapped-ram"; state: boolean }> };
	"migrate-set-parameters": { "downtime-limit"?: number; "max-bandwidth"?: number; "throttle-trigger-threshold"?: number; "cpu-throttle-initial"?: number; "cpu-throttle-increment"?: number; "max-cpu-throttle"?: number };
	migrate_cancel: Record<string, never>;
	"nbd-server-start": { addr: { type: "inet"; data: { host: string; port: string; numeric?: boolean; to?: number; ipv4?: boolean; ipv6?: boolean; "keep-alive"?: boolean; mptcp?: boolean } } | { type: "unix"; data: { path: string; abstract?: boolean; tight?: boolean } } | { type: "vsock"; data: { cid: string; port: string } } | { type: "fd"; data: { str: string } } };
	"nbd-server-stop": Record<string, never>;
	qmp_capabilities: { enable?: Array<"oob"> };
	"qom-set": { path: string; property: string; value: unknown };
	"query-block-exports": Record<string, never>;
	"query-block-jobs": Record<string, never>;
	"query-blockstats": Record<string, never>;
	"query-chardev": Record<string, never>;
	"query-migrate": Record<string, never>;
	"query-named-block-nodes": { flat?: boolean };
	"query-status": Record<string, never>;
	quit: Record<string, never>;
	screendump: { filename: string; format?: "ppm" | "png" };
	stop: Record<string, never>;
	system_powerdown: Record<string, never>;
	transaction: { actions: Array<{ type: "block-dirty-bitmap-add"; data: { node: string; name: string; granularity?: number; persistent?: boolean; disabled?: boolean } } | { type: "block-dirty-bitmap-remove"; data: { node: string; name: string } } | { type: "block-dirty-bitmap-enable"; data: { node: string; name: string } } | { type: "block-dirty-bitmap-disable"; data: { node: string; name: string } } | { type: "block-dirty-bitmap-merge"; data: { node: string; target: string; bitmaps: Array<string | { node: string; name: string }> } }>; properties?: { "completion-mode"?: "individual" | "grouped" } };
	yank: { instances: Array<{ type: "block-node"; "node-name": string } | { type: "chardev"; id: string } | { type: "migration" }> };
}

export type CommandName = keyof CommandArguments;

const returns = {
	"block-dirty-bitmap-add": z.unknown(),
	"block-dirty-bitmap-disable": z.unknown(),
	"block-dirty-bitmap-enable": z.unknown(),
	"block-dirty-bitmap-merge": z.unknown(),
	"block-dirty-bitmap-remove": z.unknown(),
	"block-export-add": z.unknown(),
	"block-export-del": z.unknown(),
	"block-job-cancel": z.unknown(),
	"block-job-change": z.unknown(),
	"block-job-complete": z.unknown(),
	"block-job-resume": z.unknown(),
	"block-stream": z.unknown(),
	block_resize: z.unknown(),
	"blockdev-add": z.unknown(),
	"blockdev-del": z.unknown(),
	"blockdev-reopen": z.unknown(),
	"blockdev-mirror": z.unknown(),
	cont: z.unknown(),
	device_add: z.unknown(),
	"job-finalize": z.unknown(),
	migrate: z.unknown(),
	"migrate-continue": z.unknown(),
	"migrate-incoming": z.unknown(),
	"migrate-set-capabilities": z.unknown(),
	"migrate-set-parameters": z.unknown(),
	migrate_cancel: z.unknown(),
	"nbd-server-start": z.unknown(),
	"nbd-server-stop": z.unknown(),
	qmp_capabilities: z.unknown(),
	"qom-set": z.unknown(),
	"query-block-exports": z.array(z.object({ id: z.string(), "node-name": z.string() })),
	"query-block-jobs": z.array(z.object({ device: z.string(), len: z.number(), offset: z.number(), ready: z.boolean(), status: known(["undefined", "created", "running", "paused", "ready", "standby", "waiting", "pending", "aborting", "concluded", "null"]), error: z.string().optional(), "io-status": known(["ok", "failed", "nospace"]) })),
	"query-blockstats": z.array(z.object({ qdev: z.string().optional(), "node-name": z.string().optional(), stats: z.object({ rd_bytes: z.number(), wr_bytes: z.number(), wr_operations: z.number(), wr_total_time_ns: z.number() }) })),
	"query-chardev": z.array(z.object({ label: z.string(), "frontend-open": z.boolean() })),
	"query-migrate": z.object({ status: known(["none", "setup", "cancelling", "cancelled", "active", "postcopy-active", "postcopy-paused", "postcopy-recover-setup", "postcopy-recover", "completed", "failed", "colo", "pre-switchover", "device", "wait-unplug"]).optional(), "error-desc": z.string().optional(), "total-time": z.number().optional(), "expected-downtime": z.number().optional(), downtime: z.number().optional(), ram: z.object({ total: z.number(), transferred: z.number(), remaining: z.number(), "dirty-sync-count": z.number(), "dirty-pages-rate": z.number(), "page-size": z.number(), mbps: z.number() }).optional() }),
	"query-named-block-nodes": z.array(z.object({ "node-name": z.string().optional(), drv: z.string(), file: z.string(), image: z.object({ "virtual-size": z.number(), "actual-size": z.number().optional() }), "dirty-bitmaps": z.array(z.object({ name: z.string().optional(), count: z.number(), granularity: z.number(), recording: z.boolean(), busy: z.boolean(), persistent: z.boolean(), inconsistent: z.boolean().optional() })).optional() })),
	"query-status": z.object({ status: known(["debug", "inmigrate", "internal-error", "io-error", "paused", "postmigrate", "prelaunch", "finish-migrate", "restore-vm", "running", "save-vm", "shutdown", "suspended", "watchdog", "guest-panicked", "colo"]), running: z.boolean() }),
	quit: z.unknown(),
	screendump: z.unknown(),
	stop: z.unknown(),
	system_powerdown: z.unknown(),
	transaction: z.unknown(),
	yank: z.unknown(),
};

/** What is read of each command's answer. */
export type CommandReturns = { [Name in CommandName]: z.infer<(typeof returns)[Name]> };

export const commandReturns: { [Name in CommandName]: z.ZodType<CommandReturns[Name]> } = returns;

const timestamp = z.object({ seconds: z.number(), microseconds: z.number() });

/** The events that are read; any other is passed over. */
export const QmpEvent = z.discriminatedUnion("event", [
	z.object({ event: z.literal("BLOCK_IO_ERROR"), timestamp, data: z.object({ "node-name": z.string().optional(), "qom-path": z.string(), operation: known(["read", "write"]), action: known(["ignore", "report", "stop"]), nospace: z.boolean().optional(), reason: z.string() }) }),
	z.object({ event: z.literal("BLOCK_JOB_CANCELLED"), timestamp, data: z.object({ device: z.string() }) }),
	z.object({ event: z.literal("BLOCK_JOB_COMPLETED"), timestamp, data: z.object({ device: z.string(), error: z.string().optional() }) }),
	z.object({ event: z.literal("BLOCK_JOB_ERROR"), timestamp, data: z.object({ device: z.string(), operation: known(["read", "write"]) }) }),
	z.object({ event: z.literal("BLOCK_JOB_READY"), timestamp, data: z.object({ device: z.string() }) }),
	z.object({ event: z.literal("MIGRATION"), timestamp, data: z.object({ status: known(["none", "setup", "cancelling", "cancelled", "active", "postcopy-active", "postcopy-paused", "postcopy-recover-setup", "postcopy-recover", "completed", "failed", "colo", "pre-switchover", "device", "wait-unplug"]) }) }),
	z.object({ event: z.literal("MIGRATION_PASS"), timestamp, data: z.object({ pass: z.number() }) }),
	z.object({ event: z.literal("RESET"), timestamp, data: z.object({ guest: z.boolean(), reason: known(["none", "host-error", "host-qmp-quit", "host-qmp-system-reset", "host-signal", "host-ui", "guest-shutdown", "guest-reset", "guest-panic", "subsystem-reset", "snapshot-load"]) }) }),
	z.object({ event: z.literal("RESUME"), timestamp }),
	z.object({ event: z.literal("SHUTDOWN"), timestamp, data: z.object({ guest: z.boolean(), reason: known(["none", "host-error", "host-qmp-quit", "host-qmp-system-reset", "host-signal", "host-ui", "guest-shutdown", "guest-reset", "guest-panic", "subsystem-reset", "snapshot-load"]) }) }),
	z.object({ event: z.literal("STOP"), timestamp }),
]);
export type QmpEvent = z.infer<typeof QmpEvent>;

export const eventNames: ReadonlySet<string> = new Set(["BLOCK_IO_ERROR", "BLOCK_JOB_CANCELLED", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_ERROR", "BLOCK_JOB_READY", "MIGRATION", "MIGRATION_PASS", "RESET", "RESUME", "SHUTDOWN", "STOP"]);
