"use client";
import { clsx } from "clsx";
import { ChevronLeft, ChevronRight } from "lucide-react";
import type { KeyboardEvent, ReactNode } from "react";
import { useEffect, useRef } from "react";
import { IconButton } from "./button.tsx";
import { addDays, addMonths, dayInMonth, weeksOf } from "./month.ts";

interface MonthGridProps {
	/** What the days show: `Recovery points`. */
	label: string;
	/** The chosen day; its month is shown. */
	day: string;
	today: string;
	onDay: (day: string) => void;
	/** What stands under the day's number. */
	mark: (day: string) => ReactNode;
	/** What a screen reader says of the day beside its date: `3 points`. */
	words: (day: string) => string;
}

const weekdays = [
	["Mo", "Monday"],
	["Tu", "Tuesday"],
	["We", "Wednesday"],
	["Th", "Thursday"],
	["Fr", "Friday"],
	["Sa", "Saturday"],
	["Su", "Sunday"],
] as const;

/**
 * A month as a grid of days, one of them chosen. Arrows go by day and week, Home and End to the ends of the week, Page Up
 * and Page Down by month (the grid pattern of the ARIA Authoring Practices). Its height is the same for every month.
 */
export function MonthGrid({ label, day, today, onDay, mark, words }: MonthGridProps) {
	const table = useRef<HTMLTableElement>(null);
	const byKey = useRef(false);
	const month = day.slice(0, 7);
	const weeks = weeksOf(month);

	useEffect(() => {
		if (!byKey.current) return;
		byKey.current = false;
		table.current?.querySelector<HTMLElement>(`[data-day="${day}"]`)?.focus();
	}, [day]);

	const onKeyDown = (event: KeyboardEvent) => {
		const next = nextDay(event.key, day, weeks);
		if (!next) return;
		event.preventDefault();
		byKey.current = true;
		onDay(next);
	};
	return (
		<div className="min-h-[384px]">
			<div className="mb-1.5 flex items-center justify-between gap-2">
				<IconButton label="Previous month" onClick={() => onDay(dayInMonth(day, addMonths(month, -1)))}>
					<ChevronLeft aria-hidden className="size-4" />
				</IconButton>
				<span aria-live="polite" className="font-semibold">
					{monthName(month)}
				</span>
				<IconButton label="Next month" onClick={() => onDay(dayInMonth(day, addMonths(month, 1)))}>
					<ChevronRight aria-hidden className="size-4" />
				</IconButton>
			</div>
			<table
				ref={table}
				// biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: the grid pattern is written on a table
				role="grid"
				aria-label={`${label}, ${monthName(month)}`}
				className="w-full table-fixed border-separate border-spacing-0.5"
				onKeyDown={onKeyDown}
			>
				<thead>
					<tr>
						{weekdays.map(([short, long]) => (
							<th key={short} scope="col" abbr={long} className="pb-1 text-center text-sm font-medium text-soft">
								{short}
							</th>
						))}
					</tr>
				</thead>
				<tbody>
					{weeks.map((week) => (
						<tr key={week.find(Boolean)}>
							{week.map((one, index) =>
								one === null ? (
									<td key={`${index < 3 ? "before" : "after"}${index}`} className="h-12 p-0" />
								) : (
									// biome-ignore lint/a11y/useAriaPropsSupportedByRole: a cell of a grid is a gridcell
									<td key={one} aria-selected={one === day} className="h-12 p-0">
										<button
											type="button"
											data-day={one}
											tabIndex={one === day ? 0 : -1}
											aria-current={one === today ? "date" : undefined}
											onClick={() => onDay(one)}
											className={clsx(
												"flex h-12 w-full flex-col items-center justify-start rounded-lg border pt-1",
												one === day
													? "border-accent bg-accent-soft"
													: one === today
														? "border-line-strong hover:bg-sunken"
														: "border-transparent hover:bg-sunken",
											)}
										>
											<span className="sr-only">
												{dayName(one)}: {words(one)}
											</span>
											<span aria-hidden className={clsx("text-sm", one === today && "font-semibold")}>
												{Number(one.slice(8))}
											</span>
											<span aria-hidden>{mark(one)}</span>
										</button>
									</td>
								),
							)}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

/** Where a key leads from `day`; undefined for other keys. */
function nextDay(key: string, day: string, weeks: readonly (readonly (string | null)[])[]): string | null | undefined {
	const week = weeks.find((one) => one.includes(day))?.filter((one) => one !== null);
	const month = day.slice(0, 7);
	switch (key) {
		case "ArrowLeft":
			return addDays(day, -1);
		case "ArrowRight":
			return addDays(day, 1);
		case "ArrowUp":
			return addDays(day, -7);
		case "ArrowDown":
			return addDays(day, 7);
		case "Home":
			return week?.[0];
		case "End":
			return week?.at(-1);
		case "PageUp":
			return dayInMonth(day, addMonths(month, -1));
		case "PageDown":
			return dayInMonth(day, addMonths(month, 1));
		default:
			return undefined;
	}
}

function monthName(month: string): string {
	return nameOf(`${month}-01`, { month: "long", year: "numeric" });
}

function dayName(day: string): string {
	return nameOf(day, { weekday: "long", day: "numeric", month: "long" });
}

function nameOf(day: string, parts: Intl.DateTimeFormatOptions): string {
	return new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: "UTC" }).format(Date.parse(`${day}T00:00:00Z`));
}
