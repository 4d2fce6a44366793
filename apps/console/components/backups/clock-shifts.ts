/** A moment at which the clocks of a zone are put forward or back. */
export interface ClockShift {
	at: number;
	forward: boolean;
}

const dayMs = 86_400_000;

/** The next changes of a zone's clocks within a year after `from`, to the minute; none where clocks stay as they are. */
export function clockShifts(timeZone: string, from: number, count: number): ClockShift[] {
	const offsetAt = offsetReader(timeZone);
	const shifts: ClockShift[] = [];
	for (let day = from; day < from + 366 * dayMs && shifts.length < count; day += dayMs) {
		const before = offsetAt(day);
		const after = offsetAt(day + dayMs);
		if (before === after) continue;
		let low = day;
		let high = day + dayMs;
		while (high - low > 60_000) {
			const middle = Math.floor((low + high) / 2);
			if (offsetAt(middle) === before) low = middle;
			else high = middle;
		}
		shifts.push({ at: Math.floor(high / 60_000) * 60_000, forward: after > before });
	}
	return shifts;
}

/** Minutes that the zone's wall clock is ahead of UTC at a moment. */
function offsetReader(timeZone: string): (at: number) => number {
	const format = new Intl.DateTimeFormat("en-GB", {
		timeZone,
		hourCycle: "h23",
		year: "numeric",
		month: "numeric",
		day: "numeric",
		hour: "numeric",
		minute: "numeric",
	});
	return (at) => {
		const part = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
		const of = (name: Intl.DateTimeFormatPartTypes) => part.get(name) ?? 0;
		const wall = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"));
		return Math.round((wall - Math.floor(at / 60_000) * 60_000) / 60_000);
	};
}
