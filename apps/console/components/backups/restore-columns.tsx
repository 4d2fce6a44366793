import { formatDuration, formatPercent } from "@sterna/shared/units";
import Link from "next/link";
import type { RestoreRow } from "../../server/views-backups.ts";
import { defineColumns } from "../../table/columns.ts";
import { Progress } from "../../ui/meter.tsx";
import { DayTime } from "../../ui/time.tsx";
import { ModeChip, RestoreStateChip } from "./chips.tsx";
import { restorePhaseWords } from "./words.ts";

export const restoreColumns = defineColumns<RestoreRow>([
	{
		id: "guest",
		header: "Guest",
		sortable: true,
		cell: (restore) => (
			<div className="min-w-0">
				<Link
					href={`/backups/restores/${restore.id}`}
					data-row-link
					className="font-semibold wrap-anywhere hover:underline"
				>
					{restore.guest.name}
				</Link>
				<div className="mt-0.5 flex flex-wrap items-center gap-1.5 text-sm text-soft">
					<ModeChip mode={restore.mode} />
					{restore.mode !== "drill" && restore.target.id !== restore.guest.id && `to ${restore.target.name}`}
				</div>
			</div>
		),
	},
	{
		id: "state",
		header: "State",
		sortable: true,
		cell: (restore) => (
			<div className="min-w-32">
				<RestoreStateChip state={restore.state} />
				{restore.endedAt === null ? (
					<div className="mt-1 max-w-52">
						<Progress label={`Restore of ${restore.guest.name}`} share={restore.progress} />
						<div className="mt-0.5 text-sm text-soft">
							{restore.phase ? restorePhaseWords[restore.phase].doing : "waiting for the host"},{" "}
							{formatPercent(restore.progress)}
						</div>
					</div>
				) : (
					restore.errorMessage && (
						<div className="mt-0.5 max-w-72 text-sm text-soft wrap-anywhere">{restore.errorMessage}</div>
					)
				)}
			</div>
		),
	},
	{
		id: "point",
		header: "Point",
		wideOnly: true,
		optional: true,
		cell: (restore) => (
			<Link href={`/backups/points/${restore.pointId}`} className="hover:underline">
				<DayTime at={restore.pointTakenAt} />
			</Link>
		),
	},
	{
		id: "startedAt",
		header: "Began",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (restore) => <DayTime at={restore.startedAt} />,
	},
	{
		id: "booted",
		header: "Ran after",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (restore) => (restore.bootedAfterMs === null ? "–" : formatDuration(restore.bootedAfterMs)),
	},
	{
		id: "proved",
		header: "Worked after",
		align: "end",
		cell: (restore) => (restore.provedAfterMs === null ? "–" : formatDuration(restore.provedAfterMs)),
	},
	{
		id: "host",
		header: "Host",
		wideOnly: true,
		optional: true,
		cell: (restore) => (
			<Link href={`/hosts/${restore.host.id}`} className="hover:underline">
				{restore.host.name}
			</Link>
		),
	},
	{
		id: "by",
		header: "Asked by",
		wideOnly: true,
		optional: true,
		cell: (restore) => <span className="text-soft">{restore.requestedBy}</span>,
	},
]);
