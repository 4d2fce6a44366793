"use client";
import { CronExpression, TimeZone } from "@sterna/backup/schedule";
import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { clockShifts } from "../components/backups/clock-shifts.ts";
import { useTRPC } from "../components/trpc.tsx";
import { sentence } from "../components/words.ts";
import { Field, inputClass, TextField } from "../ui/field.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { Select } from "../ui/select.tsx";
import { ZonedTime } from "../ui/zoned-time.tsx";
import { cronOf, type ScheduleDraft, weekdays } from "./schedule-draft.ts";

interface ScheduleFieldsProps {
	/** Tells several schedules of one page apart. */
	name: string;
	schedule: ScheduleDraft;
	onSchedule: (schedule: ScheduleDraft) => void;
	timeZone: string;
	/** Left out where the time zone is chosen elsewhere. */
	onTimeZone?: (timeZone: string) => void;
	error: string | null;
	timeZoneError?: string | null;
	/** Left out where there is no room for the next times. */
	brief?: boolean;
}

const choices = [
	{ every: "hour", title: "Every hour" },
	{ every: "day", title: "Every day" },
	{ every: "week", title: "Every week" },
	{ every: "cron", title: "Cron expression" },
] as const;

/** When something runs: simple choices, an expression for those who want it, and the next times that come of it. */
export function ScheduleFields(props: ScheduleFieldsProps) {
	const { name, schedule, onSchedule, timeZone, onTimeZone, error } = props;
	const set = (patch: Partial<ScheduleDraft>) => onSchedule({ ...schedule, ...patch });
	return (
		<div className="flex flex-col gap-4">
			<fieldset>
				<legend className="sr-only">How often</legend>
				<div className="grid grid-cols-2 gap-2 lg:grid-cols-4 xl:grid-cols-2 2xl:grid-cols-4">
					{choices.map(({ every, title }) => (
						<RadioCard
							key={every}
							name={`${name}-every`}
							checked={schedule.every === every}
							onChoose={() => set(every === "cron" ? { every, cron: cronOf(schedule) } : { every })}
							title={title}
						/>
					))}
				</div>
			</fieldset>
			<div className="grid gap-4 sm:grid-cols-2">
				{schedule.every === "hour" && (
					<TextField
						label="Minutes past the hour"
						inputMode="numeric"
						error={error && "a whole number from 0 to 59"}
						value={schedule.minute}
						onValue={(minute) => set({ minute })}
					/>
				)}
				{schedule.every === "week" && (
					<Field label="On">
						<Select
							label="On"
							value={schedule.weekday}
							choices={weekdays.map((label, index) => ({ value: String(index), label }))}
							onValue={(weekday) => set({ weekday })}
						/>
					</Field>
				)}
				{(schedule.every === "day" || schedule.every === "week") && (
					<TextField
						label="At"
						placeholder="02:00"
						maxLength={5}
						autoComplete="off"
						error={error && "a time of day, like 02:00"}
						value={schedule.time}
						onValue={(time) => set({ time })}
					/>
				)}
				{schedule.every === "cron" && (
					<TextField
						label="Expression"
						hint="Minute, hour, day of month, month, weekday."
						error={error}
						value={schedule.cron}
						onValue={(cron) => set({ cron })}
						className="font-mono text-sm!"
						spellCheck={false}
						autoComplete="off"
					/>
				)}
				{onTimeZone && <ZoneField value={timeZone} onValue={onTimeZone} error={props.timeZoneError ?? null} />}
			</div>
			{!props.brief && <NextTimes cron={cronOf(schedule)} timeZone={timeZone} />}
		</div>
	);
}

function ZoneField({
	value,
	onValue,
	error,
}: {
	value: string;
	onValue: (zone: string) => void;
	error: string | null;
}) {
	const list = useId();
	return (
		<Field label="Time zone" error={error}>
			<input
				list={list}
				aria-label="Time zone"
				aria-invalid={error !== null}
				value={value}
				onChange={(event) => onValue(event.target.value)}
				className={inputClass}
				autoComplete="off"
				spellCheck={false}
			/>
			<datalist id={list}>
				{["UTC", ...Intl.supportedValuesOf("timeZone")].map((zone) => (
					<option key={zone} value={zone} />
				))}
			</datalist>
		</Field>
	);
}

/** The next five times, by the wall clock of the schedule's zone, and what a change of the clocks does to them. */
function NextTimes({ cron, timeZone }: { cron: string; timeZone: string }) {
	const valid = CronExpression.safeParse(cron).success && TimeZone.safeParse(timeZone).success;
	const next = useQuery(
		useTRPC().jobs.nextRuns.queryOptions(valid ? { cron, timeZone } : skipToken, { placeholderData: keepPreviousData }),
	);
	if (!valid) return <p className="text-sm text-soft">The next times appear when the schedule is complete.</p>;
	const at = next.data?.at.slice(0, 5) ?? [];
	const [shift] = at[0] === undefined ? [] : clockShifts(timeZone, at[0], 1);
	return (
		<div className="rounded-lg bg-sunken px-3 py-2.5">
			<p className="text-sm text-soft">{next.data ? sentence(next.data.sentence) : "Working out the next times…"}</p>
			<ol className="mt-1 min-h-[6.8rem]" aria-label="Next five times">
				{at.map((one) => (
					<li key={one}>
						<ZonedTime at={one} timeZone={timeZone} />
					</li>
				))}
				{next.data && at.length === 0 && <li>It never comes to pass: no such day exists.</li>}
			</ol>
			{shift && (
				<p className="mt-1 text-sm text-soft">
					Clocks in {timeZone} go {shift.forward ? "forward" : "back"} on{" "}
					<ZonedTime at={shift.at} timeZone={timeZone} dateOnly />:{" "}
					{shift.forward
						? "a time that is skipped that night runs right after it."
						: "a time that comes twice that night runs once."}{" "}
					All others keep to the clock on the wall.
				</p>
			)}
		</div>
	);
}
