"use client";
import { BackupPhase } from "@sterna/shared/backup";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { CancelRun } from "../../../../../components/backups/cancel-run.tsx";
import { RunStateChip } from "../../../../../components/backups/chips.tsx";
import { PointVolumes } from "../../../../../components/backups/point-volumes.tsx";
import { standingsOf } from "../../../../../components/backups/task-phases.ts";
import { backupPhaseWords, runTone } from "../../../../../components/backups/words.ts";
import { EventsOf } from "../../../../../components/events-of.tsx";
import { Journal } from "../../../../../components/journal.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { timeFigure } from "../../../../../components/time-figure.ts";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { ended, sentence, statement } from "../../../../../components/words.ts";
import type { RunView } from "../../../../../server/views-backups.ts";
import { buttonClass } from "../../../../../ui/button-class.ts";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Progress } from "../../../../../ui/meter.tsx";
import { Notice } from "../../../../../ui/notice.tsx";
import { Panel } from "../../../../../ui/panel.tsx";
import { PhaseLine } from "../../../../../ui/phase-line.tsx";
import { useNow } from "../../../../../ui/time.tsx";

/** How far is this backup, what does it read and why. */
export default function RunPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const run = useQuery(useTRPC().runs.get.queryOptions({ pointId: id }));
	useLive([`run:${id}`]);
	return (
		<Answer of={run} noun={{ name: "backup run", href: "/backups/runs", all: "All runs" }}>
			{(data) => <Run run={data} />}
		</Answer>
	);
}

function Run({ run }: { run: RunView }) {
	const { report, guest } = run;
	const now = useNow();
	const running = run.startedAt !== null && run.endedAt === null;
	return (
		<>
			<title>{`Backup of ${guest.name} · Sterna`}</title>
			<Headline
				tone={runTone[run.state]}
				title={titleOf(run)}
				marks={<RunStateChip state={run.state} />}
				lead={<Lead run={run} />}
				actions={
					<>
						{run.state === "completed" && (
							<Link href={`/backups/points/${run.pointId}`} className={buttonClass("primary")}>
								Open the recovery point
							</Link>
						)}
						<CancelRun run={run} />
					</>
				}
			/>
			{report?.error ? (
				<Notice
					tone={run.state === "failed" ? "bad" : "watch"}
					className="mb-[18px]"
					title={statement(report.error.message)}
					cure={report.error.cure && sentence(report.error.cure)}
				/>
			) : (
				(run.errorMessage ?? run.waitsFor) && (
					<Notice
						tone={run.errorMessage ? "bad" : "neutral"}
						className="mb-[18px]"
						title={statement(run.errorMessage ?? run.waitsFor ?? "")}
					/>
				)
			)}
			<Figures
				figures={[
					timeFigure(run, now),
					{
						label: "Read",
						value: formatBytes(run.readBytes),
						note: report ? `of ${formatBytes(report.totalBytes)}` : undefined,
					},
					{ label: "Stored", value: formatBytes(run.storedBytes), note: "compressed and sealed" },
					{
						label: "Frozen for",
						value: report && report.frozenMs !== null ? formatDuration(report.frozenMs) : "–",
						note: report && report.frozenMs === null ? "file systems were not frozen" : "its file systems",
					},
				]}
			/>
			<div className="mt-[18px] flex flex-col gap-[18px]">
				<Panel title="Phases">
					<PhaseLine
						phases={standingsOf(
							BackupPhase.options,
							run.phase,
							run.state === "scheduled" || run.state === "missed" ? null : run.state,
						).map(({ phase, standing }) => ({
							key: phase,
							name: backupPhaseWords[phase].name,
							standing,
							note: backupPhaseWords[phase].what,
						}))}
					/>
					{running && (
						<div className="mt-4">
							<Progress label="Whole backup" share={run.progress} />
							<p className="mt-1 min-h-[1.45em] text-sm text-soft">{paceOf(run)}</p>
						</div>
					)}
				</Panel>
				<div className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
					<div className="flex min-w-0 flex-col gap-[18px]">
						<PointVolumes volumes={report?.volumes ?? []} />
						<Journal journal={report?.journal ?? []} />
					</div>
					<EventsOf objectId={run.guest.id} />
				</div>
			</div>
		</>
	);
}

function Lead({ run }: { run: RunView }) {
	return (
		<>
			<Link href={`/guests/${run.guest.id}/backups`} className="link">
				{run.guest.name}
			</Link>
			{run.host && (
				<>
					{" "}
					on{" "}
					<Link href={`/hosts/${run.host.id}`} className="link">
						{run.host.name}
					</Link>
				</>
			)}
			, to{" "}
			<Link href={`/backups/repositories/${run.repository.id}`} className="link">
				{run.repository.name}
			</Link>
			.{" "}
			{run.job ? (
				<>
					By the job{" "}
					<Link href={`/backups/jobs/${run.job.id}`} className="link">
						{run.job.name}
					</Link>
				</>
			) : (
				`Asked by ${run.requestedBy}`
			)}
			{run.attempt > 1 && `, attempt ${run.attempt}`}.
		</>
	);
}

/** Why the run is not faster, or what it waits for; nothing to say outside the copying. */
function paceOf({ state, phase, report }: RunView): string {
	if (report?.slowedBy)
		return state === "running" ? ended(`Slower than it could be: ${report.slowedBy}`) : statement(report.slowedBy);
	return state === "running" && phase === "copyBlocks" ? "At full speed." : "";
}

function titleOf(run: RunView): string {
	const name = run.guest.name;
	switch (run.state) {
		case "scheduled":
			return `The backup of ${name} waits for its turn.`;
		case "running":
			return `${name} is being backed up: ${run.phase ? backupPhaseWords[run.phase].doing : "the host begins"}.`;
		case "waiting":
			return `The backup of ${name} waits for the repository; the guest is not touched by that.`;
		case "undoing":
			return `The backup of ${name} is being undone.`;
		case "completed":
			return `${name} is backed up.`;
		case "failed":
			return `The backup of ${name} failed.`;
		case "cancelled":
			return `The backup of ${name} was cancelled.`;
		case "missed":
			return `The backup of ${name} was missed.`;
	}
}
