export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

const steps = [
	[TiB, "TiB"],
	[GiB, "GiB"],
	[MiB, "MiB"],
	[KiB, "KiB"],
] as const;

/** Bytes as a person says them: `8.0 GiB`, `512 MiB`, `0 B`. One decimal below ten of a unit, none above. */
export function formatBytes(bytes: number): string {
	for (const [size, unit] of steps) {
		if (Math.abs(bytes) >= size) {
			const amount = bytes / size;
			return `${Math.abs(amount) < 10 ? amount.toFixed(1) : Math.round(amount)} ${unit}`;
		}
	}
	return `${Math.round(bytes)} B`;
}

/** A length of time as a person says it: `38 ms`, `4.2 s`, `1 min 5 s`, `2 h 3 min`, `5 d 2 h`. */
export function formatDuration(durationMs: number): string {
	if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
	if (durationMs < 9950) return `${(durationMs / 1000).toFixed(1)} s`;
	const seconds = Math.round(durationMs / 1000);
	if (seconds < 60) return `${seconds} s`;
	if (seconds < 3600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
	if (seconds < 86_400) return pair(Math.floor(seconds / 3600), "h", Math.floor((seconds % 3600) / 60), "min");
	return pair(Math.floor(seconds / 86_400), "d", Math.floor((seconds % 86_400) / 3600), "h");
}

function pair(major: number, majorUnit: string, minor: number, minorUnit: string): string {
	return minor === 0 ? `${major} ${majorUnit}` : `${major} ${majorUnit} ${minor} ${minorUnit}`;
}

/** A share of one as a person reads it: `38 %`. */
export function formatPercent(fraction: number): string {
	return `${Math.round(fraction * 100)} %`;
}
