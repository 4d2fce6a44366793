"use client";
import { formatBytes } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { clsx } from "clsx";
import { CircleAlert, Clock, OctagonX } from "lucide-react";
import Link from "next/link";
import { useState } from "react";
import type { GuestRef } from "../../server/views.ts";
import type { PointCalendar, PointRow } from "../../server/views-backups.ts";
import { dayOf } from "../../ui/month.ts";
import { MonthGrid } from "../../ui/month-grid.tsx";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { useLive } from "../live.tsx";
import { ProblemNotice } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { ConsistencyChip, PointMarks } from "./chips.tsx";
import { PointActions } from "./point-actions.tsx";
import { countOf } from "./words.ts";

type Day = PointCalendar["days"][number];

/** A guest's recovery points by month and day, in the reader's own time zone, and what may be done with those of one day. */
export function PointCalendarPanel({ guest }: { guest: GuestRef }) {
	const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
	const [today] = useState(() => dayOf(Date.now(), timeZone));
	const [day, setDay] = useState(today);
	const calendar = useQuery(
		useTRPC().points.calendar.queryOptions(
			{ guestId: guest.id, month: day.slice(0, 7), timeZone },
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["points", "runs"]);
	const days = new Map(calendar.data?.days.map((one) => [one.day, one]));
	return (
		<Panel title="Recovery points" aside={<span className="text-sm text-soft">{timeZone}</span>}>
			{calendar.error && <ProblemNotice error={calendar.error} onRetry={() => void calendar.refetch()} />}
			<div className="grid items-start gap-x-6 gap-y-4 lg:grid-cols-[minmax(280px,5fr)_minmax(0,7fr)]">
				<MonthGrid
					label="Recovery points"
					day={day}
					today={today}
					onDay={setDay}
					mark={(one) => <DayMark day={days.get(one)} />}
					words={(one) => wordsOf(days.get(one))}
				/>
				<DayPoints day={day} of={days.get(day)} isLoading={calendar.data === undefined && !calendar.error} />
			</div>
		</Panel>
	);
}

/** Under the day's number: how many points, and by shape and colour whether something is wrong with the day. */
function DayMark({ day }: { day: Day | undefined }) {
	if (!day) return null;
	const damaged = day.points.some(({ damage }) => damage !== null);
	return (
		<span className="mt-0.5 flex items-center gap-0.5 text-[0.75rem] leading-4">
			{day.points.length > 0 && (
				<span
					className={clsx(
						"min-w-5 rounded-full px-1.5 font-semibold",
						damaged ? "bg-bad-soft text-bad" : "bg-ok-soft text-ok",
					)}
				>
					{day.points.length}
				</span>
			)}
			{damaged && <OctagonX aria-hidden className="size-3.5 text-bad" />}
			{day.failedRuns > 0 && <CircleAlert aria-hidden className="size-3.5 text-bad" />}
			{day.missedRuns > 0 && <Clock aria-hidden className="size-3.5 text-warn" />}
		</span>
	);
}

function wordsOf(day: Day | undefined): string {
	if (!day) return "no recovery point";
	const damaged = day.points.filter(({ damage }) => damage !== null).length;
	return [
		day.points.length === 0 ? "no recovery point" : countOf(day.points.length, "recovery point"),
		damaged > 0 && `${damaged} damaged`,
		day.failedRuns > 0 && `${countOf(day.failedRuns, "run")} failed`,
		day.missedRuns > 0 && `${countOf(day.missedRuns, "run")} missed`,
	]
		.filter(Boolean)
		.join(", ");
}

function DayPoints({ day, of, isLoading }: { day: string; of: Day | undefined; isLoading: boolean }) {
	const title = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", timeZone: "UTC" });
	const points = [...(of?.points ?? [])].sort((a, b) => b.takenAt - a.takenAt);
	return (
		<section aria-label={`Points of ${day}`} className="min-w-0 lg:min-h-[384px]">
			<h3 className="mb-2 font-semibold">{title.format(Date.parse(`${day}T00:00:00Z`))}</h3>
			{of && of.failedRuns + of.missedRuns > 0 && (
				<p className="mb-2 text-sm text-warn">
					{[
						of.failedRuns > 0 && `${countOf(of.failedRuns, "run")} failed`,
						of.missedRuns > 0 && `${countOf(of.missedRuns, "run")} missed`,
					]
						.filter(Boolean)
						.join(", ")}{" "}
					on this day.
				</p>
			)}
			{isLoading ? (
				<p className="text-soft">Looking…</p>
			) : points.length === 0 ? (
				<p className="text-soft">There is no recovery point of this day.</p>
			) : (
				<ul className="rows lg:max-h-[460px] lg:overflow-y-auto">
					{points.map((point) => (
						<PointLine key={point.id} point={point} />
					))}
				</ul>
			)}
		</section>
	);
}

function PointLine({ point }: { point: PointRow }) {
	return (
		<li className="py-2.5 first:pt-0 last:pb-0">
			<div className="flex flex-wrap items-center gap-x-2 gap-y-1">
				<Link href={`/backups/points/${point.id}`} className="font-semibold hover:underline">
					<DayTime at={point.takenAt} />
				</Link>
				<ConsistencyChip consistency={point.consistency} remark={point.consistencyRemark} />
				<PointMarks point={point} />
			</div>
			<p className="mt-0.5 text-sm text-soft">
				{formatBytes(point.sizeBytes)} of disks, {formatBytes(point.storedBytes)} stored in {point.repository.name}
			</p>
			{point.damage && <p className="mt-0.5 text-sm text-bad wrap-anywhere">{point.damage}</p>}
			{point.protectedBy && <p className="mt-0.5 text-sm text-soft wrap-anywhere">{point.protectedBy}</p>}
			<div className="mt-1.5 flex flex-wrap gap-1.5">
				<PointActions point={point} small />
			</div>
		</li>
	);
}
