"use client";
import { clsx } from "clsx";
import { addDays, format, isSameDay, isSameYear } from "date-fns";
import { useEffect, useState } from "react";

/** A point in time: the clock time today, the day otherwise; the whole date with the zone on hover. */
export function Time({ at, className }: { at: number; className?: string }) {
	const date = new Date(at);
	const now = new Date();
	const form = isSameDay(date, now) ? "HH:mm:ss" : isSameYear(date, now) ? "d MMM HH:mm" : "d MMM yyyy";
	return (
		<time dateTime={date.toISOString()} title={format(date, "d MMMM yyyy, HH:mm:ss.SSS OOOO")} className={className}>
			{format(date, form)}
		</time>
	);
}

/** The present, renewed every `everyMs`. For durations that run on while they are shown. */
export function useNow(everyMs = 1000): number {
	const [now, setNow] = useState(() => Date.now());
	useEffect(() => {
		const timer = setInterval(() => setNow(Date.now()), everyMs);
		return () => clearInterval(timer);
	}, [everyMs]);
	return now;
}

/** A moment of a schedule: `today 02:00`, `tomorrow 02:00`, `Mon 24 Nov, 02:00`; the whole date with the zone on hover. */
export function DayTime({ at, className }: { at: number; className?: string }) {
	const date = new Date(at);
	const now = new Date();
	const day = isSameDay(date, now)
		? "today"
		: isSameDay(date, addDays(now, 1))
			? "tomorrow"
			: isSameDay(date, addDays(now, -1))
				? "yesterday"
				: format(date, isSameYear(date, now) ? "EEE d MMM," : "d MMM yyyy,");
	return (
		<time
			dateTime={date.toISOString()}
			title={format(date, "d MMMM yyyy, HH:mm:ss OOOO")}
			className={clsx("whitespace-nowrap", className)}
		>
			{day} {format(date, "HH:mm")}
		</time>
	);
}

/** How old something is by now: its age when the console was asked, and the time since then. */
export function Age({ ageMs, askedAt }: { ageMs: number; askedAt: number }) {
	const age = Math.max(0, ageMs + Math.max(0, useNow() - askedAt));
	const coarse = age < 60_000 ? Math.floor(age / 1000) * 1000 : Math.floor(age / 60_000) * 60_000;
	return <>{coarse === 0 ? "now" : age < 60_000 ? `${coarse / 1000} s` : formatAge(coarse)}</>;
}

function formatAge(ms: number): string {
	const minutes = Math.floor(ms / 60_000);
	if (minutes < 60) return `${minutes} min`;
	const hours = Math.floor(minutes / 60);
	if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
	return hours % 24 === 0 ? `${hours / 24} d` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
