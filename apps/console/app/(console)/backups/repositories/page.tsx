"use client";
import { formatBytes } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import Link from "next/link";
import { ActionLink } from "../../../../components/action-link.tsx";
import { RepositoryHealthChip } from "../../../../components/backups/chips.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { useLive } from "../../../../components/live.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { statement } from "../../../../components/words.ts";
import type { RepositoryRow } from "../../../../server/views-backups.ts";
import { defineColumns } from "../../../../table/columns.ts";
import { ListPage } from "../../../../table/list-page.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { Chip } from "../../../../ui/chip.tsx";
import { Empty } from "../../../../ui/empty.tsx";
import { DayTime } from "../../../../ui/time.tsx";

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
		useTRPC().repositories.list.queryOptions(url.request, { placeholderData: keepPreviousData }),
	);
	useLive(["repositories"]);
	const add = (
		<ActionLink href="/backups/repositories/new" least="admin" kind="primary">
			<Plus aria-hidden className="size-4" />
			Add a repository
		</ActionLink>
	);
	const bad = repositories.data?.rows.find(({ health }) => health !== "healthy" && health !== "watch");
	return (
		<ListPage
			title="Backup repositories"
			headline={bad ? { tone: "bad", sentence: `${bad.name} is ${bad.health}.` } : null}
			lead="Where recovery points are kept. Everything is encrypted before it leaves a host; only the recovery key opens it."
			actions={add}
			query={repositories}
			columns={columns}
			url={url}
			rowId={(row) => row.id}
			rowName={(row) => row.name}
			filterLabel="Filter by name"
			nothingFits="No repository has this in its name."
			empty={
				<Empty title="There is no repository yet." action={add}>
					A folder that your servers name in their configuration (a disk, an NFS mount), or an S3 bucket.
				</Empty>
			}
		>
			<BackupSection />
		</ListPage>
	);
}
