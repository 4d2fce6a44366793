"use client";
import { format, isSameDay, isSameYear } from "date-fns";
import { useEffect, useState } from "react";

/** A point in time: the clock time today, the day otherwise; the whole date on hover. */
export function Time({ at, className }: { at: number; className?: string }) {
	const date = new Date(at);
	const now = new Date();
	const form = isSameDay(date, now) ? "HH:mm:ss" : isSameYear(date, now) ? "d MMM HH:mm" : "d MMM yyyy";
	return (
		<time dateTime={date.toISOString()} title={format(date, "d MMMM yyyy, HH:mm:ss.SSS")} className={className}>
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
