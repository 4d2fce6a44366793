"use client";
import { formatDuration } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { ProtectionChip } from "../../../components/backups/chips.tsx";
import { FirstSteps } from "../../../components/backups/first-steps.tsx";
import { protectionHeadline } from "../../../components/backups/protection-headline.ts";
import { BackupSection } from "../../../components/backups/section.tsx";
import { useLive } from "../../../components/live.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { statement } from "../../../components/words.ts";
import type { Protection } from "../../../server/views-backups.ts";
import type { ProtectionSummary } from "../../../server/views-guests.ts";
import { defineColumns } from "../../../table/columns.ts";
import { ListPage } from "../../../table/list-page.tsx";
import { asChoices, ChoiceFilter } from "../../../table/url-filters.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";
import { Figures } from "../../../ui/figures.tsx";
import { Age, DayTime } from "../../../ui/time.tsx";

const sorts = ["urgency", "guest", "age"] as const;
const states = ["damaged", "failing", "late", "unprotected", "protected"] as const;

/** A row with the moment at which its ages were true. */
type Row = Protection & { askedAt: number };

const columns = defineColumns<Row>([
	{
		id: "guest",
		header: "Guest",
		sortable: true,
		cell: ({ guest, jobs, tags }) => (
			<div className="min-w-[5.5rem]">
				<Link
					href={`/guests/${guest.id}/backups`}
					data-row-link
					className="font-semibold wrap-anywhere hover:underline"
				>
					{guest.name}
				</Link>
				<div className="text-sm text-soft max-md:hidden">
					{tags.join(" ") || jobs.map(({ name }) => name).join(", ")}
				</div>
			</div>
		),
	},
	{
		id: "urgency",
		header: "State",
		sortable: true,
		cell: (row) => (
			<div className="min-w-0 max-w-96">
				<ProtectionChip state={row.state} />
				<div className="mt-0.5 text-sm text-soft wrap-anywhere">{statement(row.sentence)}</div>
			</div>
		),
	},
	{
		id: "age",
		header: "Would lose",
		sortable: true,
		align: "end",
		cell: (row) =>
			row.recoveryPointAgeMs === null ? "everything" : <Age ageMs={row.recoveryPointAgeMs} askedAt={row.askedAt} />,
	},
	{
		id: "recovery",
		header: "Back in",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (row) =>
			row.measuredRecoveryMs === null ? (
				<span className="text-soft">not measured</span>
			) : (
				<>
					{formatDuration(row.measuredRecoveryMs)}
					{row.measuredRecoveryAt !== null && (
						<div className="text-sm text-soft">
							measured <DayTime at={row.measuredRecoveryAt} />
						</div>
					)}
				</>
			),
	},
	{
		id: "points",
		header: "Points",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (row) => row.points,
	},
	{
		id: "next",
		header: "Next run",
		wideOnly: true,
		optional: true,
		cell: (row) => (
			<>
				{row.nextRunAt === null ? <span className="text-soft">none</span> : <DayTime at={row.nextRunAt} />}
				<div className="text-sm text-soft">{row.jobs.map(({ name }) => name).join(", ")}</div>
			</>
		),
	},
]);

/** Could I restore, from when, how fast. */
export default function BackupsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, { defaultDirection: "descending" });
	const state = states.find((one) => one === url.param("state"));
	const summary = useQuery(trpc.protection.summary.queryOptions());
	const asked = useQuery(
		trpc.protection.list.queryOptions(
			{
				...url.request,
				...(state ? { state: [state] } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["protection"]);
	const { data, dataUpdatedAt, error, refetch } = asked;
	const headline = summary.data && protectionHeadline(summary.data);
	return (
		<ListPage
			title="Backups"
			headline={headline}
			lead="What would be lost if a guest were lost now, and how long until it runs again: measured, not promised."
			query={{
				data: data && { ...data, rows: data.rows.map((row) => ({ ...row, askedAt: dataUpdatedAt })) },
				error,
				refetch,
			}}
			columns={columns}
			url={url}
			rowId={({ guest }) => guest.id}
			rowName={({ guest }) => guest.name}
			filterLabel="Filter by guest"
			filters={<ChoiceFilter url={url} name="state" label="State" any="Any state" choices={asChoices(states)} />}
			nothingFits="No guest fits the filter."
			empty={<Empty title="There are no guests yet.">What is created appears here, protected or not.</Empty>}
		>
			<BackupSection />
			<FirstSteps />
			<div className="mb-[18px]">
				<Figures figures={figuresOf(summary.data)} />
			</div>
		</ListPage>
	);
}

function figuresOf(summary: ProtectionSummary | undefined) {
	const of = summary ? `of ${summary.guests}` : undefined;
	return [
		{ label: "Protected", value: summary?.protected ?? "–", note: of },
		{ label: "Late", value: summary?.late ?? "–", note: "older than agreed" },
		{ label: "Failing or damaged", value: summary ? summary.failing + summary.damaged : "–", note: "need you" },
		{ label: "Unprotected", value: summary?.unprotected ?? "–", note: "no job, no point" },
	];
}
