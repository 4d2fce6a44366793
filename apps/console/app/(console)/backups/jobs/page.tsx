"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import Link from "next/link";
import { ActionLink } from "../../../../components/action-link.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { countOf, jobRunTone } from "../../../../components/backups/words.ts";
import { useLive } from "../../../../components/live.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import type { JobRow } from "../../../../server/views-backups.ts";
import { defineColumns } from "../../../../table/columns.ts";
import { ListPage } from "../../../../table/list-page.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { Chip } from "../../../../ui/chip.tsx";
import { Empty } from "../../../../ui/empty.tsx";
import { DayTime } from "../../../../ui/time.tsx";

const sorts = ["name", "nextRun", "guests", "late"] as const;

const columns = defineColumns<JobRow>([
	{
		id: "name",
		header: "Job",
		sortable: true,
		cell: (job) => (
			<div className="min-w-0">
				<span className="flex flex-wrap items-center gap-2">
					<Link href={`/backups/jobs/${job.id}`} data-row-link className="font-semibold wrap-anywhere hover:underline">
						{job.name}
					</Link>
					{!job.enabled && <Chip>off</Chip>}
				</span>
				<div className="text-sm text-soft">{job.selectionSentence}</div>
				<div className="text-sm text-soft md:hidden">{job.scheduleSentence}</div>
			</div>
		),
	},
	{
		id: "schedule",
		header: "When",
		wideOnly: true,
		optional: true,
		cell: (job) => job.scheduleSentence,
	},
	{
		id: "nextRun",
		header: "Next",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (job) => (job.nextRunAt === null ? <span className="text-soft">none</span> : <DayTime at={job.nextRunAt} />),
	},
	{
		id: "lastRun",
		header: "Last",
		cell: (job) =>
			job.lastRun === null ? (
				<span className="text-soft">never ran</span>
			) : (
				<div className="max-w-72">
					<Chip tone={jobRunTone[job.lastRun.state]}>{job.lastRun.state}</Chip>
					<div className="mt-0.5 text-sm text-soft wrap-anywhere">{job.lastRun.sentence}</div>
				</div>
			),
	},
	{
		id: "guests",
		header: "Guests",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (job) => job.guests,
	},
	{
		id: "late",
		header: "Late",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (job) => (job.lateGuests > 0 ? <b className="text-warn">{job.lateGuests}</b> : 0),
	},
	{
		id: "repository",
		header: "Repository",
		wideOnly: true,
		optional: true,
		cell: (job) => (
			<Link href={`/backups/repositories/${job.repository.id}`} className="hover:underline">
				{job.repository.name}
			</Link>
		),
	},
]);

/** What is backed up when, and how that went. */
export default function JobsPage() {
	const url = useTableUrl(sorts);
	const jobs = useQuery(useTRPC().jobs.list.queryOptions(url.request, { placeholderData: keepPreviousData }));
	useLive(["jobs"]);
	const create = (
		<ActionLink href="/backups/jobs/new" least="admin" kind="primary">
			<Plus aria-hidden className="size-4" />
			Create a job
		</ActionLink>
	);
	const late = (jobs.data?.rows ?? []).reduce((sum, job) => sum + job.lateGuests, 0);
	return (
		<ListPage
			title="Backup jobs"
			headline={
				late > 0
					? { tone: "warn", sentence: `${countOf(late, "guest")} of these jobs ${late === 1 ? "is" : "are"} late.` }
					: null
			}
			lead="Which guests are saved when, where to, and for how long."
			actions={create}
			query={jobs}
			columns={columns}
			url={url}
			rowId={(job) => job.id}
			rowName={(job) => job.name}
			filterLabel="Filter by name"
			nothingFits="No job has this in its name."
			empty={
				<Empty title="There are no jobs yet." action={create}>
					A job says which guests are saved when. Its form shows what it would do before it is saved.
				</Empty>
			}
		>
			<BackupSection />
		</ListPage>
	);
}
