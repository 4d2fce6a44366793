import { CronExpression } from "@sterna/backup/schedule";
import { expect, test } from "vitest";
import { cronOf, freshSchedule, scheduleOf } from "./schedule-draft.ts";

test.each([
	["every hour at :15", { every: "hour", minute: "15" }, "15 * * * *"],
	["every day at 02:00", { every: "day", time: "02:00" }, "0 2 * * *"],
	["every day at 00:05", { every: "day", time: "00:05" }, "5 0 * * *"],
	["every Saturday at 23:30", { every: "week", time: "23:30", weekday: "6" }, "30 23 * * 6"],
	["an expression of one's own", { every: "cron", cron: "*/15 6-20 * * 1-5" }, "*/15 6-20 * * 1-5"],
] as const)("%s becomes a cron expression and is chosen again when the job is edited", (_, choice, cron) => {
	expect(cronOf({ ...freshSchedule, ...choice })).toBe(cron);
	expect(scheduleOf(cron)).toMatchObject(choice);
});

test.each(["0 2 1 * *", "61 2 * * *", "0 */6 * * *", "0 * * * 1", "nonsense"])(
	"%s is none of the simple choices and stays an expression",
	(cron) => {
		expect(scheduleOf(cron)).toMatchObject({ every: "cron", cron });
	},
);

test("an unfinished choice is refused by the schema instead of meaning something else", () => {
	expect(CronExpression.safeParse(cronOf({ ...freshSchedule, every: "day", time: "" })).success).toBe(false);
	expect(CronExpression.safeParse(cronOf({ ...freshSchedule, every: "hour", minute: "75" })).success).toBe(false);
});
