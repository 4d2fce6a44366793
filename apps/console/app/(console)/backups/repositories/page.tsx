"use client";
import { formatBytes } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import Link from "next/link";
import { RepositoryHealthChip } from "../../../../components/backups/chips.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { useLive } from "../../../../components/live.tsx";
import { ProblemNotice } from "../../../../components/problem.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { statement } from "../../../../components/words.ts";
import type { RepositoryRow } from "../../../../server/views-backups.ts";
import { defineColumns } from "../../../../table/columns.ts";
import { QueryTable } from "../../../../table/query-table.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { buttonClass } from "../../../../ui/button-class.ts";
import { Chip } from "../../../../ui/chip.tsx";
import { Empty } from "../../../../ui/empty.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { DayTime } from "../../../../ui/time.tsx";

const pageSize = 50;
const sorts = ["name", "stored", "health"] as const;

const columns = defineColumns<RepositoryRow>([
	{
		id: "name",
		header: "Repository",
		sortable: true,
		cell: (row) => (
			<div className="min-w-0">
				<Link
					href={`/backups/repositories/${row.id}`}
					data-row-link
					className="font-semibold wrap-anywhere hover:underline"
				>
					{row.name}
				</Link>
				<div className="text-sm text-soft wrap-anywhere">{row.place}</div>
			</div>
		),
	},
	{
		id: "health",
		header: "Health",
		sortable: true,
		cell: (row) => (
			<div className="max-w-96">
				<span className="flex flex-wrap gap-1">
					<RepositoryHealthChip health={row.health} />
					{[...new Set(row.running.map(({ kind }) => kind))].map((kind) => (
						<Chip key={kind} tone="accent">
							{kind}
						</Chip>
					))}
				</span>
				<div className="mt-0.5 text-sm text-soft wrap-anywhere">{statement(row.healthSentence)}</div>
			</div>
		),
	},
	{
		id: "stored",
		header: "Stored",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (row) =>
			row.usage ? (
				<>
					{formatBytes(row.usage.storedBytes)}
					<div className="text-sm text-soft">of {formatBytes(row.usage.logicalBytes)} kept</div>
				</>
			) : (
				"–"
			),
	},
	{
		id: "full",
		header: "Full in",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (row) => (row.daysUntilFull === null ? "–" : `${Math.floor(row.daysUntilFull)} d`),
	},
	{
		id: "scrub",
		header: "Last scrub",
		wideOnly: true,
		optional: true,
		cell: (row) =>
			row.lastScrubAt === null ? <span className="text-soft">never</span> : <DayTime at={row.lastScrubAt} />,
	},
]);

/** Where backups are kept, and whether that holds. */
export default function RepositoriesPage() {
	const url = useTableUrl(sorts);
	const repositories = useQuery(
		useTRPC().repositories.list.queryOptions(
			{ page: url.page, pageSize, sort: url.sort, direction: url.direction, filter: url.filter },
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["repositories"]);
	const add = (
		<Link href="/backups/repositories/new" className={buttonClass("primary")}>
			<Plus aria-hidden className="size-4" />
			Add a repository
		</Link>
	);
	const bad = repositories.data?.rows.find(({ health }) => health !== "healthy" && health !== "watch");
	return (
		<>
			<title>Backup repositories · Sterna</title>
			<Headline
				tone={bad ? "bad" : "neutral"}
				title={bad ? `${bad.name} is ${bad.health}.` : "Backup repositories"}
				lead="Where recovery points are kept. Everything is encrypted before it leaves a host; only the recovery key opens it."
				actions={add}
			/>
			<BackupSection />
			{repositories.error && <ProblemNotice error={repositories.error} onRetry={() => void repositories.refetch()} />}
			<QueryTable
				caption="Backup repositories"
				columns={columns}
				url={url}
				rows={repositories.data?.rows}
				total={repositories.data?.total ?? 0}
				pageSize={pageSize}
				rowId={(row) => row.id}
				rowName={(row) => row.name}
				filterLabel="Filter by name"
				empty={
					url.filter ? (
						<Empty title="No repository has such a name.">Take something out of the filter.</Empty>
					) : (
						<Empty title="There is no repository yet." action={add}>
							A folder that your servers name in their configuration (a disk, an NFS mount), or an S3 bucket.
						</Empty>
					)
				}
			/>
		</>
	);
}
