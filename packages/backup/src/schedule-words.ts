/** `every day at 02:00, Europe/Vienna`; schedules that have no plain name are shown as they are. */
export function scheduleSentence(cron: string, timeZone: string): string {
	return `${plainName(cron) ?? `at “${cron}”`}, ${timeZone}`;
}

const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

function plainName(cron: string): string | null {
	const [minute = "", hour = "", day = "", month = "", weekday = ""] = cron.split(" ");
	const everyDay = day === "*" && month === "*" && weekday === "*";
	const step = /^\*\/(\d+)$/.exec(minute)?.[1];
	if (everyDay && hour === "*" && step && 60 % Number(step) === 0) return `every ${step} minutes`;
	if (!/^\d+$/.test(minute)) return null;
	if (everyDay && hour === "*") return `every hour, ${minute} min past`;
	const hourStep = /^\*\/(\d+)$/.exec(hour)?.[1];
	if (everyDay && hourStep && 24 % Number(hourStep) === 0 && minute === "0") return `every ${hourStep} hours`;
	if (!/^\d+$/.test(hour)) return null;
	const time = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
	if (everyDay) return `every day at ${time}`;
	if (day === "*" && month === "*") {
		if (/^(1-5|MON-FRI)$/i.test(weekday)) return `Monday to Friday at ${time}`;
		const name = /^[0-7]$/.test(weekday) ? weekdays[Number(weekday)] : undefined;
		return name ? `every ${name} at ${time}` : null;
	}
	if (/^\d+$/.test(day) && month === "*" && weekday === "*") return `on day ${day} of every month at ${time}`;
	return null;
}
