"use client";
import { formatBytes, formatDuration, formatPercent } from "@sterna/shared/units";
import { type QueryKey, useQuery, useQueryClient } from "@tanstack/react-query";
import Link from "next/link";
import { use, useState } from "react";
import { CancelMigration } from "../../../../components/cancel-migration.tsx";
import { EventsOf } from "../../../../components/events-of.tsx";
import { Journal } from "../../../../components/journal.tsx";
import { useLive } from "../../../../components/live.tsx";
import { MigrationLine } from "../../../../components/migration-line.tsx";
import { Convergence, CopyPanel, type CopySample } from "../../../../components/migration-panels.tsx";
import { Answer } from "../../../../components/page-state.tsx";
import { MigrationStateChip } from "../../../../components/states.tsx";
import { timeFigure } from "../../../../components/time-figure.ts";
import { useTRPC } from "../../../../components/trpc.tsx";
import { migrationStateTone, phaseWords, sentence, statement } from "../../../../components/words.ts";
import type { MigrationView } from "../../../../server/views-migrations.ts";
import { Figures } from "../../../../ui/figures.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Progress } from "../../../../ui/meter.tsx";
import { Notice } from "../../../../ui/notice.tsx";
import { Panel } from "../../../../ui/panel.tsx";
import { useNow } from "../../../../ui/time.tsx";

/** How far, how long, will it hurt. */
export default function MigrationPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const move = useQuery(trpc.migrations.get.queryOptions({ migrationId: id }));
	const [samples, setSamples] = useState<readonly CopySample[]>([]);
	useLive([`migration:${id}`], (notice) => {
		if (notice.type !== "migration" || notice.topic !== `migration:${id}`) return;
		const { migration } = notice;
		const key: QueryKey = trpc.migrations.get.queryKey({ migrationId: id });
		queryClient.setQueryData<MigrationView>(key, (before) =>
			(before?.report?.generation ?? -1) > (migration.report?.generation ?? -1) ? before : migration,
		);
		const memory = migration.report?.memory;
		if (memory) setSamples((before) => [...before.slice(-599), { at: Date.now(), ...memory }]);
	});
	return (
		<Answer of={move} noun={{ name: "migration", href: "/migrations", all: "All migrations" }}>
			{(data) => <Migration move={data} samples={samples} />}
		</Answer>
	);
}

function Migration({ move, samples }: { move: MigrationView; samples: readonly CopySample[] }) {
	const now = useNow(500);
	const { report } = move;
	const running = move.endedAt === null;
	return (
		<>
			<title>{`${move.guest.name} to ${move.target.name} · Sterna`}</title>
			<Headline
				tone={migrationStateTone[move.state]}
				title={titleOf(move)}
				marks={<MigrationStateChip state={move.state} />}
				lead={
					<>
						<Link href={`/guests/${move.guest.id}`} className="link">
							{move.guest.name}
						</Link>
						, from{" "}
						<Link href={`/hosts/${move.source.id}`} className="link">
							{move.source.name}
						</Link>{" "}
						to{" "}
						<Link href={`/hosts/${move.target.id}`} className="link">
							{move.target.name}
						</Link>
						. Asked by{" "}
						{move.evacuationId ? (
							<Link href={`/evacuations/${move.evacuationId}`} className="link">
								{move.requestedBy}
							</Link>
						) : (
							move.requestedBy
						)}
						.
					</>
				}
				actions={<CancelMigration move={move} />}
			/>
			{report?.error && (
				<Notice
					tone={move.state === "inDoubt" ? "bad" : "watch"}
					className="mb-[18px]"
					title={statement(report.error.message)}
					cure={report.error.cure && sentence(report.error.cure)}
				/>
			)}
			<Figures
				figures={[
					timeFigure(move, now),
					memoryFigure(move),
					{
						label: "Expected pause",
						value: report?.predictedDowntimeMs === null || !report ? "–" : formatDuration(report.predictedDowntimeMs),
						note: running ? "if switched over now" : undefined,
					},
					{
						label: "Measured pause",
						value: move.measuredDowntimeMs === null ? "–" : formatDuration(move.measuredDowntimeMs),
						note: move.measuredDowntimeMs === null ? undefined : "stop to resume",
					},
				]}
			/>
			<div className="mt-[18px] flex flex-col gap-[18px]">
				<Panel
					title="Phases"
					aside={<span className="text-sm text-soft">{formatPercent(move.progress)} of all bytes</span>}
				>
					<MigrationLine report={report} now={now} />
					{running && (
						<div className="mt-3">
							<Progress label="Whole move" share={move.progress} />
						</div>
					)}
				</Panel>
				<div className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
					<div className="flex min-w-0 flex-col gap-[18px]">
						<CopyPanel report={report} samples={samples} />
						<Journal journal={report?.journal ?? []} />
					</div>
					<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
						<Convergence move={move} />
						<EventsOf objectId={move.id} />
					</div>
				</div>
			</div>
		</>
	);
}

function memoryFigure({ report, state }: MigrationView) {
	const memory = report?.memory;
	if (!memory) return { label: "Memory left", value: "–" };
	const { passes } = memory;
	return state === "completed"
		? {
				label: "Memory sent",
				value: formatBytes(memory.transferredBytes),
				note: `in ${passes} ${passes === 1 ? "pass" : "passes"}`,
			}
		: {
				label: "Memory left",
				value: formatBytes(memory.remainingBytes),
				note: `of ${formatBytes(memory.totalBytes)}, pass ${passes}`,
			};
}

function titleOf(move: MigrationView): string {
	const { guest, source, target } = move;
	switch (move.state) {
		case "running":
			return `${guest.name} is moving to ${target.name}: ${phaseWords[move.phase].doing}.`;
		case "undoing":
			return `The move of ${guest.name} is being undone; it runs on ${source.name}.`;
		case "inDoubt":
			return `${guest.name} is in doubt between ${source.name} and ${target.name}.`;
		case "completed":
			return `${guest.name} runs on ${target.name}.`;
		case "failed":
			return `${guest.name} could not move to ${target.name}.`;
		case "cancelled":
			return `The move of ${guest.name} was cancelled; it runs on ${source.name}.`;
	}
}
