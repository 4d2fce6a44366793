import { formatBytes, formatDuration, formatPercent } from "@sterna/shared/units";
import Link from "next/link";
import type { RunRow } from "../../server/views-backups.ts";
import { defineColumns } from "../../table/columns.ts";
import { Progress } from "../../ui/meter.tsx";
import { DayTime } from "../../ui/time.tsx";
import { RunStateChip } from "./chips.tsx";
import { backupPhaseWords, readReasonWords } from "./words.ts";

/** How a run stands, in the cell of a table: its state and, while it works, how far it is. */
export function RunStanding({ run }: { run: RunRow }) {
	const working = run.state === "running" || run.state === "waiting" || run.state === "undoing";
	const note = run.errorMessage ?? run.waitsFor;
	return (
		<div className="min-w-32">
			<RunStateChip state={run.state} />
			{working ? (
				<div className="mt-1 max-w-52">
					<Progress label={`Backup of ${run.guest.name}`} share={run.progress} />
					<div className="mt-0.5 text-sm text-soft">
						{run.phase ? backupPhaseWords[run.phase].doing : "waiting for the host"}, {formatPercent(run.progress)}
						{run.remainingMs !== null && `, ${formatDuration(run.remainingMs)} left`}
					</div>
				</div>
			) : (
				note && <div className="mt-0.5 max-w-72 text-sm text-soft wrap-anywhere">{note}</div>
			)}
		</div>
	);
}

export const runColumns = defineColumns<RunRow>([
	{
		id: "guest",
		header: "Guest",
		sortable: true,
		cell: (run) => (
			<div className="min-w-0">
				<Link
					href={`/backups/runs/${run.pointId}`}
					data-row-link
					className="font-semibold wrap-anywhere hover:underline"
				>
					{run.guest.name}
				</Link>
				<div className="text-sm text-soft">{run.job?.name ?? `by ${run.requestedBy}`}</div>
			</div>
		),
	},
	{ id: "state", header: "State", sortable: true, cell: (run) => <RunStanding run={run} /> },
	{
		id: "dueAt",
		header: "Due",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (run) => <DayTime at={run.dueAt} />,
	},
	{
		id: "read",
		header: "Read",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (run) => (
			<>
				{run.startedAt === null ? "–" : formatBytes(run.readBytes)}
				{run.wholeReads.length > 0 && (
					<div className="text-sm text-soft">
						whole: {[...new Set(run.wholeReads.map((reason) => readReasonWords[reason].short))].join(", ")}
					</div>
				)}
			</>
		),
	},
	{
		id: "stored",
		header: "Stored",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (run) => (run.startedAt === null ? "–" : formatBytes(run.storedBytes)),
	},
	{
		id: "took",
		header: "Took",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (run) => (run.startedAt === null || run.endedAt === null ? "–" : formatDuration(run.endedAt - run.startedAt)),
	},
	{
		id: "repository",
		header: "Repository",
		wideOnly: true,
		optional: true,
		cell: (run) => (
			<Link href={`/backups/repositories/${run.repository.id}`} className="hover:underline">
				{run.repository.name}
			</Link>
		),
	},
]);
