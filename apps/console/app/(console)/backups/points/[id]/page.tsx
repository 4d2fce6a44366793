"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { ConsistencyChip, PointMarks } from "../../../../../components/backups/chips.tsx";
import { LatestRestores } from "../../../../../components/backups/latest-restores.tsx";
import { PointActions } from "../../../../../components/backups/point-actions.tsx";
import { PointVolumes } from "../../../../../components/backups/point-volumes.tsx";
import { EventsOf } from "../../../../../components/events-of.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { statement } from "../../../../../components/words.ts";
import type { PointView } from "../../../../../server/views-backups.ts";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Pair } from "../../../../../ui/meter.tsx";
import { Notice } from "../../../../../ui/notice.tsx";
import { Panel } from "../../../../../ui/panel.tsx";
import { DayTime } from "../../../../../ui/time.tsx";

/** What is in this recovery point, is it whole, and what may I do with it. */
export default function PointPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const point = useQuery(useTRPC().points.get.queryOptions({ id }));
	useLive([`point:${id}`]);
	return (
		<Answer of={point} noun={{ name: "recovery point", href: "/backups", all: "All guests" }}>
			{(data) => <Point point={data} />}
		</Answer>
	);
}

function Point({ point }: { point: PointView }) {
	const { guest, spec } = point;
	return (
		<>
			<title>{`${guest.name}, recovery point · Sterna`}</title>
			<Headline
				tone={point.damage ? "bad" : "ok"}
				title={
					<>
						{guest.name} as of <DayTime at={point.takenAt} />
					</>
				}
				marks={<PointMarks point={point} />}
				lead={
					<>
						A recovery point of{" "}
						<Link href={`/guests/${guest.id}/backups`} className="link">
							{guest.name}
						</Link>{" "}
						in{" "}
						<Link href={`/backups/repositories/${point.repository.id}`} className="link">
							{point.repository.name}
						</Link>
						{point.job && (
							<>
								, made by{" "}
								<Link href={`/backups/jobs/${point.job.id}`} className="link">
									{point.job.name}
								</Link>
							</>
						)}
						.
					</>
				}
				actions={<PointActions point={point} />}
			/>
			{point.damage && (
				<Notice
					tone="bad"
					className="mb-[18px]"
					title={statement(point.damage)}
					cure="Back the guest up again: the next run reads what is damaged and stores it anew. Other points of the guest may be whole."
				/>
			)}
			<Figures
				figures={[
					{
						label: "Consistency",
						value: <ConsistencyChip consistency={point.consistency} remark={point.consistencyRemark} />,
					},
					{ label: "Disks", value: formatBytes(point.sizeBytes), note: `in ${point.volumes.length}` },
					{ label: "Stored for it", value: formatBytes(point.storedBytes), note: "beyond the points before" },
					{
						label: "Proof",
						value: point.proof
							? point.proof.provedAfterMs === null
								? "failed"
								: formatDuration(point.proof.provedAfterMs)
							: "none",
						note: point.proof ? (
							<Link href={`/backups/restores/${point.proof.restoreId}`} className="link">
								by a drill
							</Link>
						) : (
							"never booted"
						),
					},
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<div className="flex min-w-0 flex-col gap-[18px]">
					<PointVolumes volumes={point.volumes} />
					<LatestRestores of={{ pointId: point.id }} />
				</div>
				<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
					<Panel title="The guest at that time">
						<dl className="rows">
							<Pair label="Name">{spec.name}</Pair>
							<Pair label="Processors">{spec.vcpus} vCPU</Pair>
							<Pair label="Memory">{formatBytes(spec.memoryBytes)}</Pair>
							<Pair label="Networks">{spec.nics.map(({ network }) => network).join(", ") || "none"}</Pair>
							<Pair label="Ran on">{point.host?.name ?? "a host that is gone"}</Pair>
							{point.protectedBy && <Pair label="Protected">{point.protectedBy}</Pair>}
						</dl>
					</Panel>
					<EventsOf objectId={point.id} />
				</div>
			</div>
		</>
	);
}
