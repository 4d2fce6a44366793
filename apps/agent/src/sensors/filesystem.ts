import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Mount, mountOf, parseMountinfo } from "./mounts.ts";
import type { SensorRoot } from "./root.ts";
import { type Judgement, keyPart, type Sensor, type Symptom, symptom } from "./sensor.ts";

/** A folder with volumes, by its real path (no symbolic links). */
export interface PoolPlace {
	name: string;
	path: string;
}

/** How writing, syncing and reading back 4 KiB went. `full` is no fault of the disk. */
export type CanaryResult = "ok" | "full" | "unknown" | { missed: string };

export interface PoolReading extends PoolPlace {
	mount: Mount | null;
	canary: CanaryResult;
	/** Canaries missed one after the other, with this one. */
	missesInRow: number;
}

const canaryTimeoutMs = 5000;
const degradedMisses = 3;
const failingMisses = 6;

/** Filesystems under pools that turned read-only, and pools that no longer take and give back 4 KiB. */
export function createFilesystemSensor(root: SensorRoot, pools: readonly PoolPlace[]): Sensor {
	const misses = new Map<string, number>();
	return {
		kind: "filesystem",
		async read() {
			const mountinfo = await root.readText("/proc/self/mountinfo");
			const mounts = mountinfo === null ? null : parseMountinfo(mountinfo);
			const readings = await Promise.all(
				pools.map(async (pool): Promise<PoolReading> => {
					const canary = await sendCanary(root, pool);
					const missesInRow = typeof canary === "object" ? (misses.get(pool.name) ?? 0) + 1 : 0;
					misses.set(pool.name, missesInRow);
					return { ...pool, mount: mounts && mountOf(mounts, pool.path), canary, missesInRow };
				}),
			);
			return { changes: [], judge: () => judgeFilesystems(readings, mounts !== null) };
		},
	};
}

/** Drops the page cache before it reads, so that the answer comes from the disk. */
const canaryScript = `printf %s "$1" >"$2" && sync "$2" && dd if="$2" iflag=nocache count=0 status=none && cat "$2"`;

/** In a child of its own: a write to a dead disk or share never returns. */
export async function sendCanary(root: SensorRoot, pool: PoolPlace): Promise<CanaryResult> {
	const token = randomBytes(2048).toString("hex");
	const file = join(pool.path, ".sterna-canary");
	const result = await root.runTool("sh", ["-c", canaryScript, "sh", token, file], {
		subject: `canary-${pool.name}`,
		timeoutMs: canaryTimeoutMs,
	});
	if (result.status === "missing") return "unknown";
	if (result.status === "hung") return { missed: `no answer for ${Math.round(result.forMs / 1000)} s` };
	if (/no space left|quota exceeded/i.test(result.stderr)) return "full";
	if (result.exitCode !== 0) return { missed: result.stderr.trim() || `exit code ${result.exitCode}` };
	return result.stdout === token ? "ok" : { missed: "what was read is not what was written" };
}

export function judgeFilesystems(pools: readonly PoolReading[], mountsKnown: boolean): Judgement {
	return {
		symptoms: pools.flatMap((pool) => [...readOnly(pool), ...missed(pool), ...full(pool)]),
		unseen: [
			...(mountsKnown || pools.length === 0
				? []
				: [{ keyPrefix: "filesystem/", reason: "the mounts of this server cannot be read" }]),
			...pools
				.filter(({ canary }) => canary === "unknown")
				.map(({ name }) => ({
					keyPrefix: `filesystem/${keyPart(name)}/canary`,
					reason: `pool ${name} cannot be tried by writing`,
				})),
		],
	};
}

function readOnly({ name, path, mount }: PoolReading): Symptom[] {
	if (!mount?.readOnly) return [];
	return [
		symptom({
			key: `filesystem/${keyPart(name)}/readOnly`,
			component: `pool ${name} (${path})`,
			signal: "readOnly",
			severity: "failing",
			value: 1,
			threshold: 1,
			unit: "verdict",
			rule: "the filesystem of a pool is mounted read-only",
			raw: `/proc/self/mountinfo: ${mount.source} on ${mount.mountPoint} type ${mount.type}, ro`,
			oneShot: true,
		}),
	];
}

function missed({ name, path, canary, missesInRow }: PoolReading): Symptom[] {
	if (typeof canary !== "object") return [];
	const severity = missesInRow >= failingMisses ? "failing" : missesInRow >= degradedMisses ? "degraded" : "watch";
	const threshold = severity === "failing" ? failingMisses : severity === "degraded" ? degradedMisses : 1;
	return [
		symptom({
			key: `filesystem/${keyPart(name)}/canaryMissed`,
			component: `pool ${name} (${path})`,
			signal: "canaryMissed",
			severity,
			value: missesInRow,
			threshold,
			unit: "misses",
			rule: `${threshold} times in a row 4 KiB could not be written and read back within ${canaryTimeoutMs / 1000} s`,
			raw: canary.missed,
			// So many misses in a row are a confirmation by themselves.
			oneShot: true,
		}),
	];
}

function full({ name, path, canary }: PoolReading): Symptom[] {
	if (canary !== "full") return [];
	return [
		symptom({
			key: `filesystem/${keyPart(name)}/full`,
			component: `pool ${name} (${path})`,
			signal: "full",
			severity: "watch",
			value: 1,
			threshold: 1,
			unit: "verdict",
			rule: "a pool has no space left for 4 KiB",
			raw: `writing to ${path}: no space left`,
		}),
	];
}
