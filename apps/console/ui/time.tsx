"use client";
import { format, isSameDay } from "date-fns";
import { useEffect, useState } from "react";

/** A point in time: the clock time today, with the day otherwise; the whole date on hover. */
export function Time({ at, className }: { at: number; className?: string }) {
	const date = new Date(at);
	const text = isSameDay(date, new Date()) ? format(date, "HH:mm:ss") : format(date, "d MMM HH:mm");
	return (
		<time dateTime={date.toISOString()} title={format(date, "d MMMM yyyy, HH:mm:ss.SSS")} className={className}>
			{text}
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
