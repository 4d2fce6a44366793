"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { JobActions } from "../../../../../components/backups/job-actions.tsx";
import { LatestRuns } from "../../../../../components/backups/latest-runs.tsx";
import { retentionSentence } from "../../../../../components/backups/retention-sentence.ts";
import { countOf, jobRunTone } from "../../../../../components/backups/words.ts";
import { EventsOf } from "../../../../../components/events-of.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { sentence } from "../../../../../components/words.ts";
import type { JobView } from "../../../../../server/views-backups.ts";
import { Chip } from "../../../../../ui/chip.tsx";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Pair } from "../../../../../ui/meter.tsx";
import { Panel } from "../../../../../ui/panel.tsx";
import { DayTime } from "../../../../../ui/time.tsx";

/** What does this job do, when next, and how did it go. */
export default function JobPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const job = useQuery(useTRPC().jobs.get.queryOptions({ id }));
	useLive([`job:${id}`]);
	return (
		<Answer of={job} noun={{ name: "backup job", href: "/backups/jobs", all: "All jobs" }}>
			{(data) => <Job job={data} />}
		</Answer>
	);
}

function Job({ job }: { job: JobView }) {
	return (
		<>
			<title>{`${job.name} · Sterna`}</title>
			<Headline
				tone={job.lateGuests > 0 ? "warn" : job.lastRun ? jobRunTone[job.lastRun.state] : "neutral"}
				title={job.name}
				marks={
					<span className="flex flex-wrap gap-1.5">
						{!job.enabled && <Chip>off</Chip>}
						{job.lastRun && <Chip tone={jobRunTone[job.lastRun.state]}>{job.lastRun.state}</Chip>}
					</span>
				}
				lead={`${sentence(job.selectionSentence)} ${sentence(job.scheduleSentence)}`}
				actions={<JobActions job={job} />}
			/>
			<Figures
				figures={[
					{ label: "Next run", value: job.nextRunAt === null ? "–" : <DayTime at={job.nextRunAt} /> },
					{
						label: "Last run",
						value: job.lastRun ? <DayTime at={job.lastRun.at} /> : "–",
						note: job.lastRun?.sentence ?? "never ran",
					},
					{ label: "Guests", value: job.guests },
					{ label: "Late", value: job.lateGuests, note: "older than agreed" },
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<LatestRuns title="Runs" of={{ jobId: job.id }} more={`/backups/runs?job=${job.id}`} />
				<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
					<Settings job={job} />
					<EventsOf objectId={job.id} />
				</div>
			</div>
		</>
	);
}

const minuteMs = 60_000;

function Settings({ job }: { job: JobView }) {
	const { spec } = job;
	return (
		<Panel title="As agreed">
			<dl className="rows">
				<Pair label="Repository">
					<Link href={`/backups/repositories/${job.repository.id}`} className="link">
						{job.repository.name}
					</Link>
				</Pair>
				<Pair label="Schedule">
					<span className="font-mono text-sm">{spec.cron}</span>
					<span className="block text-sm text-soft">{spec.timeZone}</span>
				</Pair>
				<Pair label="Keeps">{retentionSentence(spec.retention)}</Pair>
				<Pair label="Late after">{formatDuration(spec.alertAfterMinutes * minuteMs)}</Pair>
				<Pair label="Begins within">{formatDuration(spec.startWithinMinutes * minuteMs)}</Pair>
				<Pair label="Tries again">
					{spec.retries === 0
						? "never"
						: `${countOf(spec.retries, "time")}, after ${formatDuration(spec.retryAfterMinutes * minuteMs)}`}
				</Pair>
				<Pair label="At once">
					{spec.atOncePerHost} on a host, {spec.atOncePerRepository} to the repository
				</Pair>
				<Pair label="Speed">
					{spec.bytesPerSecond === null ? "no limit" : `at most ${formatBytes(spec.bytesPerSecond)}/s`}
				</Pair>
				<Pair label="File systems">{spec.freeze ? "held still for the instant" : "not held still"}</Pair>
				<Pair label="Drills">
					{spec.drill ? (
						<>
							<span className="font-mono text-sm">{spec.drill.cron}</span>
							<span className="block text-sm text-soft">
								{spec.drill.check.kind === "guestAgent"
									? "until the guest agent answers"
									: `until the serial line prints “${spec.drill.check.text}”`}
							</span>
						</>
					) : (
						"none"
					)}
				</Pair>
				<Pair label="Made by">{job.createdBy}</Pair>
			</dl>
		</Panel>
	);
}
