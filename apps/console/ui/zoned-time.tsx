interface ZonedTimeProps {
	at: number;
	timeZone: string;
	dateOnly?: boolean;
}

/** A moment by the wall clock of a named time zone, with the zone's short name: `Mon, 23 Nov 2026, 02:00 CET`. */
export function ZonedTime({ at, timeZone, dateOnly = false }: ZonedTimeProps) {
	const text = new Intl.DateTimeFormat("en-GB", {
		timeZone,
		weekday: "short",
		day: "numeric",
		month: "short",
		year: "numeric",
		...(dateOnly ? {} : { hour: "2-digit", minute: "2-digit", timeZoneName: "short" }),
	}).format(at);
	return <time dateTime={new Date(at).toISOString()}>{text}</time>;
}
