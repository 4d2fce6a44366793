"use client";
import { MigrationState } from "@sterna/shared/migration";
import { formatDuration, formatPercent } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { EvacuationList } from "../../../components/evacuation-list.tsx";
import { useLive } from "../../../components/live.tsx";
import { MigrationStateChip } from "../../../components/states.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { migrationStateWord, phaseWords } from "../../../components/words.ts";
import type { MigrationRow } from "../../../server/views-migrations.ts";
import { defineColumns } from "../../../table/columns.ts";
import { ListPage } from "../../../table/list-page.tsx";
import { ChoiceFilter } from "../../../table/url-filters.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";
import { Progress } from "../../../ui/meter.tsx";
import { Time } from "../../../ui/time.tsx";

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
	const url = useTableUrl(sorts, { defaultDirection: "descending" });
	const state = MigrationState.safeParse(url.param("state")).data;
	const moves = useQuery(
		trpc.migrations.list.queryOptions(
			{
				...url.request,
				...(state ? { state: [state] } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["migrations"]);
	return (
		<ListPage
			title="Migrations"
			lead="Guests that move, or have moved, while they run."
			query={moves}
			columns={columns}
			url={url}
			rowId={(move) => move.id}
			rowName={(move) => move.guest.name}
			filterLabel="Filter by guest"
			filters={
				<ChoiceFilter
					url={url}
					name="state"
					label="State"
					any="Any state"
					choices={MigrationState.options.map((one) => ({ value: one, label: migrationStateWord[one] }))}
				/>
			}
			nothingFits="No migration fits the filter."
			empty={
				<Empty title="Nothing has moved yet.">
					Open a running guest and choose Migrate, or take a host out of service.
				</Empty>
			}
		>
			<EvacuationList />
		</ListPage>
	);
}
