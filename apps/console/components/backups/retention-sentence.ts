import type { Retention } from "@sterna/backup/job";

const nouns: Record<keyof Retention, string> = {
	last: "point",
	hourly: "hour",
	daily: "day",
	weekly: "week",
	monthly: "month",
	yearly: "year",
};

/** `7 days, 4 weeks, 12 months`: what is kept, in the order of the rules. */
export function retentionSentence(retention: Retention): string {
	return (["last", "hourly", "daily", "weekly", "monthly", "yearly"] as const)
		.filter((rule) => retention[rule] > 0)
		.map(
			(rule) =>
				`${rule === "last" ? "the latest " : ""}${retention[rule]} ${nouns[rule]}${retention[rule] === 1 ? "" : "s"}`,
		)
		.join(", ");
}
