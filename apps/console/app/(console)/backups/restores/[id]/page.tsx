"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { CancelRestore } from "../../../../../components/backups/cancel-restore.tsx";
import { ModeChip, RestoreStateChip } from "../../../../../components/backups/chips.tsx";
import { DrillScreen } from "../../../../../components/backups/drill-screen.tsx";
import { RecoveryTrend } from "../../../../../components/backups/recovery-trend.tsx";
import { restoreTitle } from "../../../../../components/backups/restore-title.ts";
import { StopTrying } from "../../../../../components/backups/stop-trying.tsx";
import { standingsOf } from "../../../../../components/backups/task-phases.ts";
import { phasesOfMode, restorePhaseWords, restoreTone } from "../../../../../components/backups/words.ts";
import { EventsOf } from "../../../../../components/events-of.tsx";
import { Journal } from "../../../../../components/journal.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { timeFigure } from "../../../../../components/time-figure.ts";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { sentence, statement } from "../../../../../components/words.ts";
import type { RestoreView } from "../../../../../server/views-backups.ts";
import { buttonClass } from "../../../../../ui/button-class.ts";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Progress } from "../../../../../ui/meter.tsx";
import { Notice } from "../../../../../ui/notice.tsx";
import { Panel } from "../../../../../ui/panel.tsx";
import { PhaseLine } from "../../../../../ui/phase-line.tsx";
import { DayTime, useNow } from "../../../../../ui/time.tsx";

/** Is it back, when did it run, when did it work. */
export default function RestorePage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const restore = useQuery(useTRPC().restores.get.queryOptions({ id }));
	useLive([`restore:${id}`]);
	return (
		<Answer of={restore} noun={{ name: "restore", href: "/backups/restores", all: "All restores and drills" }}>
			{(data) => <Restore restore={data} />}
		</Answer>
	);
}

function keepsGuest({ state, report }: RestoreView): boolean {
	return report?.givenUp === true || (state !== "failed" && state !== "cancelled");
}

function Restore({ restore }: { restore: RestoreView }) {
	const { report, mode } = restore;
	const now = useNow();
	const running = restore.endedAt === null;
	const title = restoreTitle(restore);
	return (
		<>
			<title>{`${title} · Sterna`}</title>
			<Headline
				tone={restoreTone[restore.state]}
				title={title}
				marks={
					<span className="flex flex-wrap gap-1.5">
						<ModeChip mode={mode} />
						<RestoreStateChip state={restore.state} />
					</span>
				}
				lead={
					<>
						The{" "}
						<Link href={`/backups/points/${restore.pointId}`} className="link">
							point of <DayTime at={restore.pointTakenAt} />
						</Link>{" "}
						of{" "}
						<Link href={`/guests/${restore.guest.id}/backups`} className="link">
							{restore.guest.name}
						</Link>
						, on{" "}
						<Link href={`/hosts/${restore.host.id}`} className="link">
							{restore.host.name}
						</Link>
						. Asked by {restore.requestedBy}.
					</>
				}
				actions={
					<>
						{mode !== "drill" && keepsGuest(restore) && (
							<Link href={`/guests/${restore.target.id}`} className={buttonClass("primary")}>
								Open {restore.target.name}
							</Link>
						)}
						<StopTrying restore={restore} />
						<CancelRestore restore={restore} />
					</>
				}
			/>
			{report?.error && (
				<Notice
					tone={restore.state === "failed" ? "bad" : "watch"}
					className="mb-[18px]"
					title={statement(report.error.message)}
					cure={report.error.cure && sentence(report.error.cure)}
				/>
			)}
			<Figures
				figures={[
					timeFigure(restore, now),
					{
						label: "Ran after",
						value: restore.bootedAfterMs === null ? "–" : formatDuration(restore.bootedAfterMs),
						note: "from the beginning",
					},
					{
						label: "Worked after",
						value: restore.provedAfterMs === null ? "–" : formatDuration(restore.provedAfterMs),
						note: restore.check
							? restore.check.kind === "guestAgent"
								? "its agent answered"
								: `it printed “${restore.check.text}”`
							: undefined,
					},
					{
						label: "Copied",
						value: report ? formatBytes(report.copiedBytes) : "–",
						note: report ? `of ${formatBytes(report.totalBytes)}` : undefined,
					},
				]}
			/>
			<div className="mt-[18px] flex flex-col gap-[18px]">
				<Panel title="Phases">
					<PhaseLine
						phases={standingsOf(phasesOfMode[mode], restore.phase, restore.state).map(({ phase, standing }) => ({
							key: phase,
							name: restorePhaseWords[phase].name,
							standing,
							note: restorePhaseWords[phase].what,
						}))}
					/>
					{running && (
						<div className="mt-4">
							<Progress label="Whole restore" share={restore.progress} />
						</div>
					)}
				</Panel>
				<div className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
					<div className="flex min-w-0 flex-col gap-[18px]">
						{restore.hasScreenshot && <DrillScreen restore={restore} />}
						{mode === "drill" && <RecoveryTrend guestId={restore.guest.id} />}
						<Journal journal={report?.journal ?? []} />
					</div>
					<EventsOf objectId={restore.id} />
				</div>
			</div>
		</>
	);
}
