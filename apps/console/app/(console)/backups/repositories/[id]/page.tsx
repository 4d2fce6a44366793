"use client";
import { formatBytes } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import { use } from "react";
import { RepositoryHealthChip } from "../../../../../components/backups/chips.tsx";
import { LatestRuns } from "../../../../../components/backups/latest-runs.tsx";
import { isKeyLocked, RepositoryActions } from "../../../../../components/backups/repository-actions.tsx";
import { RepositoryDamages } from "../../../../../components/backups/repository-damages.tsx";
import { RepositoryFacts } from "../../../../../components/backups/repository-facts.tsx";
import { RepositoryUpkeep } from "../../../../../components/backups/repository-upkeep.tsx";
import { repositoryTone } from "../../../../../components/backups/words.ts";
import { Chart } from "../../../../../components/chart.tsx";
import { EventsOf } from "../../../../../components/events-of.tsx";
import { useLive } from "../../../../../components/live.tsx";
import { Answer } from "../../../../../components/page-state.tsx";
import { useTRPC } from "../../../../../components/trpc.tsx";
import { sentence, statement } from "../../../../../components/words.ts";
import type { RepositoryView } from "../../../../../server/views-backups.ts";
import { Figures } from "../../../../../ui/figures.tsx";
import { Headline } from "../../../../../ui/headline.tsx";
import { Notice } from "../../../../../ui/notice.tsx";
import { Panel } from "../../../../../ui/panel.tsx";

/** Is what was stored still there and whole, and for how long is there room. */
export default function RepositoryPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const repository = useQuery(useTRPC().repositories.get.queryOptions({ id }));
	useLive([`repository:${id}`]);
	return (
		<Answer of={repository} noun={{ name: "repository", href: "/backups/repositories", all: "All repositories" }}>
			{(data) => <Repository repository={data} />}
		</Answer>
	);
}

function Repository({ repository }: { repository: RepositoryView }) {
	const { usage } = repository;
	return (
		<>
			<title>{`${repository.name} · Sterna`}</title>
			<Headline
				tone={repositoryTone[repository.health]}
				title={repository.name}
				marks={<RepositoryHealthChip health={repository.health} />}
				lead={
					<>
						<p>{statement(repository.healthSentence)}</p>
						<p>{sentence(repository.place)}</p>
					</>
				}
				actions={<RepositoryActions repository={repository} />}
			/>
			{!repository.keyConfirmed && (
				<Notice
					tone="warn"
					className="mb-[18px]"
					title="Its recovery key was never confirmed; jobs cannot use it yet."
					cure={`Type the end of the key from your copy. If it was not kept, ${
						isKeyLocked(repository)
							? "forget the repository and make another one: the key of a locked one stays."
							: "replace it: nothing is lost while this console is there."
					}`}
				>
					<div className="mt-2">
						<RepositoryActions repository={repository} only="key" />
					</div>
				</Notice>
			)}
			<Figures
				figures={[
					{
						label: "Stored",
						value: usage ? formatBytes(usage.storedBytes) : "–",
						note: usage ? `for ${formatBytes(usage.logicalBytes)} of disks` : undefined,
					},
					{
						label: "Dedup ratio",
						value: repository.dedupRatio === null ? "–" : `${repository.dedupRatio.toFixed(1)} : 1`,
						note: "with compression",
					},
					{
						label: "Grows by",
						value: repository.growthBytesPerDay === null ? "–" : formatBytes(repository.growthBytesPerDay),
						note: repository.growthBytesPerDay === null ? "not known yet" : "a day",
					},
					{
						label: "Full in",
						value: repository.daysUntilFull === null ? "–" : `${Math.floor(repository.daysUntilFull)} d`,
						note:
							usage?.freeBytes == null
								? "the place does not say"
								: `${formatBytes(usage.freeBytes)} free of ${formatBytes(usage.capacityBytes ?? 0)}`,
					},
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<div className="flex min-w-0 flex-col gap-[18px]">
					<RepositoryDamages damages={repository.damages} lastScrubAt={repository.lastScrubAt} />
					<Panel title="Size, day by day">
						<Chart
							label="Kept and stored"
							samples={repository.history}
							series={[
								{ key: "storedBytes", label: "stored", color: "accent" },
								{ key: "logicalBytes", label: "kept", color: "faint", dashed: true },
							]}
							format={formatBytes}
							atLeast={1024 * 1024}
							height={170}
						/>
					</Panel>
					<RepositoryUpkeep repository={repository} />
					<LatestRuns
						title="Backups to it"
						of={{ repositoryId: repository.id }}
						more={`/backups/runs?repository=${repository.id}`}
					/>
				</div>
				<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
					<RepositoryFacts repository={repository} />
					<EventsOf objectId={repository.id} />
				</div>
			</div>
		</>
	);
}
