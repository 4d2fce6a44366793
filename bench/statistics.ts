/** Middle of the values; the lower of the two middles for an even count, so that it is always one that was measured. */
export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted[Math.floor((sorted.length - 1) / 2)];
	if (middle === undefined) throw new RangeError("no values");
	return middle;
}
