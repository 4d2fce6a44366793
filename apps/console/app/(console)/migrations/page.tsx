"use client";
import { MigrationState } from "@sterna/shared/migration";
import { formatDuration, formatPercent } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { EvacuationList } from "../../../components/evacuation-list.tsx";
import { useLive } from "../../../components/live.tsx";
import { ProblemNotice } from "../../../components/problem.tsx";
import { MigrationStateChip } from "../../../components/states.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { migrationStateWord, phaseWords } from "../../../components/words.ts";
import type { MigrationRow } from "../../../server/views.ts";
import { defineColumns } from "../../../table/columns.ts";
import { QueryTable } from "../../../table/query-table.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";
import { Headline } from "../../../ui/headline.tsx";
import { Progress } from "../../../ui/meter.tsx";
import { Select } from "../../../ui/select.tsx";
import { Time } from "../../../ui/time.tsx";

const pageSize = 50;
const sorts = ["startedAt", "guest", "state", "downtime"] as const;

const columns = defineColumns<MigrationRow>([
	{
		id: "guest",
		header: "Guest",
		sortable: true,
		cell: (move) => (
			<div className="min-w-0">
				<Link href={`/migrations/${move.id}`} data-row-link className="font-semibold wrap-anywhere hover:underline">
					{move.guest.name}
				</Link>
				<div className="text-sm text-soft md:hidden">
					{move.source.name} → {move.target.name}
				</div>
			</div>
		),
	},
	{
		id: "route",
		header: "From, to",
		wideOnly: true,
		cell: (move) => (
			<>
				{move.source.name} → {move.target.name}
			</>
		),
	},
	{
		id: "state",
		header: "State",
		sortable: true,
		cell: (move) => (
			<div className="min-w-32">
				<MigrationStateChip state={move.state} />
				{move.state === "running" ? (
					<div className="mt-1 max-w-52">
						<Progress label={`${move.guest.name} to ${move.target.name}`} share={move.progress} />
						<div className="mt-0.5 text-sm text-soft">
							{phaseWords[move.phase].doing}, {formatPercent(move.progress)}
						</div>
					</div>
				) : (
					move.errorMessage && <div className="mt-0.5 max-w-72 text-sm text-soft">{move.errorMessage}</div>
				)}
			</div>
		),
	},
	{
		id: "startedAt",
		header: "Began",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (move) => <Time at={move.startedAt} />,
	},
	{
		id: "took",
		header: "Took",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (move) => (move.endedAt === null ? "–" : formatDuration(move.endedAt - move.startedAt)),
	},
	{
		id: "downtime",
		header: "Paused",
		sortable: true,
		align: "end",
		cell: (move) => (move.measuredDowntimeMs === null ? "–" : formatDuration(move.measuredDowntimeMs)),
	},
	{
		id: "by",
		header: "Asked by",
		wideOnly: true,
		optional: true,
		cell: (move) => (
			<span className="text-soft">
				{move.evacuationId ? (
					<Link href={`/evacuations/${move.evacuationId}`} className="hover:underline">
						{move.requestedBy}
					</Link>
				) : (
					move.requestedBy
				)}
			</span>
		),
	},
]);

export default function MigrationsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, "descending");
	const state = MigrationState.safeParse(url.param("state")).data;
	const moves = useQuery(
		trpc.migrations.list.queryOptions(
			{
				page: url.page,
				pageSize,
				sort: url.sort,
				direction: url.direction,
				filter: url.filter,
				...(state ? { state: [state] } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["migrations"]);
	return (
		<>
			<title>Migrations · Sterna</title>
			<Headline title="Migrations" lead="Guests that move, or have moved, while they run." />
			<EvacuationList />
			{moves.error && <ProblemNotice error={moves.error} onRetry={() => void moves.refetch()} />}
			<QueryTable
				caption="Migrations"
				columns={columns}
				url={url}
				rows={moves.data?.rows}
				total={moves.data?.total ?? 0}
				pageSize={pageSize}
				rowId={(move) => move.id}
				rowName={(move) => move.guest.name}
				filterLabel="Filter by guest"
				filters={
					<Select
						label="State"
						value={state ?? "any"}
						choices={[
							{ value: "any", label: "Any state" },
							...MigrationState.options.map((one) => ({ value: one, label: migrationStateWord[one] })),
						]}
						onValue={(value) => url.set({ state: value === "any" ? "" : value })}
						className="w-36!"
					/>
				}
				empty={
					url.filter || state ? (
						<Empty title="No migration fits the filter.">Take something out of it.</Empty>
					) : (
						<Empty title="Nothing has moved yet.">
							Open a running guest and choose Migrate, or take a host out of service.
						</Empty>
					)
				}
			/>
		</>
	);
}
