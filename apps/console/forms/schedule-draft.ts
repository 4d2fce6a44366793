/** A schedule as people choose it; `cron` for those who write it themselves. */
export interface ScheduleDraft {
	every: "hour" | "day" | "week" | "cron";
	/** Minutes past the hour, for `hour`. */
	minute: string;
	/** `02:00`, for `day` and `week`. */
	time: string;
	/** 0 is Sunday, for `week`. */
	weekday: string;
	cron: string;
}

export const freshSchedule: ScheduleDraft = {
	every: "day",
	minute: "0",
	time: "02:00",
	weekday: "0",
	cron: "0 2 * * *",
};

export const weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;

/** The five fields of cron that the choice means; an unfinished choice gives fields that the schema refuses. */
export function cronOf(draft: ScheduleDraft): string {
	const [hour = "", minute = ""] = draft.time.split(":");
	switch (draft.every) {
		case "hour":
			return `${plain(draft.minute)} * * * *`;
		case "day":
			return `${plain(minute)} ${plain(hour)} * * *`;
		case "week":
			return `${plain(minute)} ${plain(hour)} * * ${plain(draft.weekday)}`;
		case "cron":
			return draft.cron.trim();
	}
}

/** The choice behind a cron expression; what is none of the simple ones stays an expression. */
export function scheduleOf(cron: string): ScheduleDraft {
	const draft = { ...freshSchedule, cron };
	const [, minute = "", hour = "", weekday = ""] = /^(\d{1,2}) (\d{1,2}|\*) \* \* (\d|\*)$/.exec(cron.trim()) ?? [];
	if (minute === "" || Number(minute) > 59) return { ...draft, every: "cron" };
	if (hour === "*") return weekday === "*" ? { ...draft, every: "hour", minute } : { ...draft, every: "cron" };
	const time = `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}`;
	if (weekday === "*") return { ...draft, every: "day", time };
	return { ...draft, every: "week", time, weekday: String(Number(weekday) % 7) };
}

/** A number without leading zeros; anything else as it is, so that the schema names it. */
function plain(text: string): string {
	const trimmed = text.trim();
	return /^\d+$/.test(trimmed) ? String(Number(trimmed)) : trimmed || "missing";
}
