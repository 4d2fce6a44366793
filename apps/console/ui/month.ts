/** Days as `2026-11-22` and months as `2026-11`: calendar arithmetic without any time zone. */

/** The weeks of a month from Monday to Sunday; null stands for days of its neighbours. */
export function weeksOf(month: string): (string | null)[][] {
	const days = daysIn(month);
	const before = (new Date(`${month}-01T00:00:00Z`).getUTCDay() + 6) % 7;
	const cells = [
		...Array.from({ length: before }, () => null),
		...Array.from({ length: days }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`),
	];
	while (cells.length % 7 > 0) cells.push(null);
	return Array.from({ length: cells.length / 7 }, (_, week) => cells.slice(week * 7, week * 7 + 7));
}

/** The month so many months later, or earlier when negative. */
export function addMonths(month: string, count: number): string {
	const date = new Date(`${month}-01T00:00:00Z`);
	date.setUTCMonth(date.getUTCMonth() + count);
	return date.toISOString().slice(0, 7);
}

/** The day so many days later, or earlier when negative. */
export function addDays(day: string, count: number): string {
	return new Date(Date.parse(`${day}T00:00:00Z`) + count * 86_400_000).toISOString().slice(0, 10);
}

/** The same day of another month; its last day where that month is shorter. */
export function dayInMonth(day: string, month: string): string {
	const number = Math.min(Number(day.slice(8)), daysIn(month));
	return `${month}-${String(number).padStart(2, "0")}`;
}

/** The day that a moment falls on in a time zone. */
export function dayOf(at: number, timeZone: string): string {
	return new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }).format(at);
}

function daysIn(month: string): number {
	return Number(addDays(`${addMonths(month, 1)}-01`, -1).slice(8));
}
