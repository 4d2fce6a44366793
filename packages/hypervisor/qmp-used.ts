/** What of QEMU's monitor the driver relies on; `generate-qmp-types.ts` makes types of it. */

export interface UsedCommand {
	/** The arguments given; by variant where the command is a union. */
	arguments: string[] | Record<string, string[]>;
	/** The members read of its answer. A dot reaches into an object, or into the objects of an array. */
	returns: string[];
	/** The cases that are used of the unions in its arguments; all without. */
	only?: string[];
	/** Properties of the device itself may be given, which no schema lists. */
	takesProperties?: true;
}

/** Command → what is used of it. */
export const usedCommands: Record<string, UsedCommand> = {
	"block-dirty-bitmap-add": { arguments: ["node", "name", "granularity", "persistent", "disabled"], returns: [] },
	"block-dirty-bitmap-disable": { arguments: ["node", "name"], returns: [] },
	"block-dirty-bitmap-enable": { arguments: ["node", "name"], returns: [] },
	"block-dirty-bitmap-merge": { arguments: ["node", "target", "bitmaps"], returns: [] },
	"block-dirty-bitmap-remove": { arguments: ["node", "name"], returns: [] },
	"block-export-add": {
		arguments: { nbd: ["type", "id", "node-name", "writable", "name", "bitmaps"] },
		returns: [],
	},
	"block-export-del": { arguments: ["id", "mode"], returns: [] },
	"block-job-cancel": { arguments: ["device", "force"], returns: [] },
	"block-job-change": { arguments: { mirror: ["id", "type", "copy-mode"] }, returns: [] },
	"block-job-complete": { arguments: ["device"], returns: [] },
	"block-job-resume": { arguments: ["device"], returns: [] },
	"block-stream": { arguments: ["job-id", "device", "on-error", "auto-finalize"], returns: [] },
	block_resize: { arguments: ["node-name", "size"], returns: [] },
	"blockdev-add": {
		arguments: {
			file: ["driver", "node-name", "filename", "discard", "cache"],
			nbd: ["driver", "node-name", "server", "export", "discard", "detect-zeroes", "read-only", "reconnect-delay"],
			qcow2: ["driver", "node-name", "file", "backing", "discard", "detect-zeroes"],
			raw: ["driver", "node-name", "file", "discard"],
			"copy-before-write": ["driver", "node-name", "file", "target", "discard", "on-cbw-error", "cbw-timeout"],
			"snapshot-access": ["driver", "node-name", "file"],
		},
		returns: [],
	},
	"blockdev-del": { arguments: ["node-name"], returns: [] },
	"blockdev-reopen": { arguments: ["options"], returns: [], only: ["raw", "qcow2"] },
	"blockdev-mirror": { arguments: ["job-id", "device", "target", "sync", "copy-mode"], returns: [] },
	cont: { arguments: [], returns: [] },
	device_add: { arguments: ["driver", "id", "bus"], returns: [], takesProperties: true },
	"job-finalize": { arguments: ["id"], returns: [] },
	migrate: { arguments: ["uri"], returns: [] },
	"migrate-continue": { arguments: ["state"], returns: [] },
	"migrate-incoming": { arguments: ["uri", "exit-on-error"], returns: [] },
	"migrate-set-capabilities": { arguments: ["capabilities"], returns: [] },
	"migrate-set-parameters": {
		arguments: [
			"downtime-limit",
			"max-bandwidth",
			"throttle-trigger-threshold",
			"cpu-throttle-initial",
			"cpu-throttle-increment",
			"max-cpu-throttle",
		],
		returns: [],
	},
	migrate_cancel: { arguments: [], returns: [] },
	"nbd-server-start": { arguments: ["addr"], returns: [] },
	"nbd-server-stop": { arguments: [], returns: [] },
	qmp_capabilities: { arguments: ["enable"], returns: [] },
	"qom-set": { arguments: ["path", "property", "value"], returns: [] },
	"query-block-exports": { arguments: [], returns: ["id", "node-name"] },
	"query-block-jobs": { arguments: [], returns: ["device", "len", "offset", "ready", "status", "error", "io-status"] },
	"query-blockstats": {
		arguments: [],
		returns: ["qdev", "node-name", "stats.rd_bytes", "stats.wr_bytes", "stats.wr_operations", "stats.wr_total_time_ns"],
	},
	"query-chardev": { arguments: [], returns: ["label", "frontend-open"] },
	"query-migrate": {
		arguments: [],
		returns: [
			"status",
			"error-desc",
			"total-time",
			"expected-downtime",
			"downtime",
			"ram.total",
			"ram.transferred",
			"ram.remaining",
			"ram.dirty-sync-count",
			"ram.dirty-pages-rate",
			"ram.page-size",
			"ram.mbps",
		],
	},
	"query-named-block-nodes": {
		arguments: ["flat"],
		returns: [
			"node-name",
			"drv",
			"file",
			"image.virtual-size",
			"image.actual-size",
			"dirty-bitmaps.name",
			"dirty-bitmaps.count",
			"dirty-bitmaps.granularity",
			"dirty-bitmaps.recording",
			"dirty-bitmaps.busy",
			"dirty-bitmaps.persistent",
			"dirty-bitmaps.inconsistent",
		],
	},
	"query-status": { arguments: [], returns: ["status", "running"] },
	quit: { arguments: [], returns: [] },
	screendump: { arguments: ["filename", "format"], returns: [] },
	stop: { arguments: [], returns: [] },
	system_powerdown: { arguments: [], returns: [] },
	transaction: {
		arguments: ["actions", "properties"],
		only: [
			"block-dirty-bitmap-add",
			"block-dirty-bitmap-disable",
			"block-dirty-bitmap-enable",
			"block-dirty-bitmap-merge",
			"block-dirty-bitmap-remove",
		],
		returns: [],
	},
	yank: { arguments: ["instances"], returns: [] },
};

/** Event → the members read. */
export const usedEvents: Record<string, string[]> = {
	BLOCK_IO_ERROR: ["node-name", "qom-path", "operation", "action", "nospace", "reason"],
	BLOCK_JOB_CANCELLED: ["device"],
	BLOCK_JOB_COMPLETED: ["device", "error"],
	BLOCK_JOB_ERROR: ["device", "operation"],
	BLOCK_JOB_READY: ["device"],
	MIGRATION: ["status"],
	MIGRATION_PASS: ["pass"],
	RESET: ["guest", "reason"],
	RESUME: [],
	SHUTDOWN: ["guest", "reason"],
	STOP: [],
};
