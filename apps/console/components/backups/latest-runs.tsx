"use client";
import { formatBytes } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import type { Inputs } from "../../server/root.ts";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { useLive } from "../live.tsx";
import { Answer } from "../page-state.tsx";
import { useTRPC } from "../trpc.tsx";
import { RunStanding } from "./run-columns.tsx";

interface LatestRunsProps {
	title: string;
	/** Whose runs. */
	of: Pick<Inputs["runs"]["list"], "guestId" | "jobId" | "repositoryId">;
	/** Where the rest of them is. */
	more: string;
}

/** The latest runs of a job, a guest or a repository, as they go on. */
export function LatestRuns({ title, of, more }: LatestRunsProps) {
	const runs = useQuery(useTRPC().runs.list.queryOptions({ ...of, pageSize: 10 }));
	useLive(["runs"]);
	return (
		<Panel
			title={title}
			aside={
				<Link href={more} className="text-sm font-medium text-accent hover:underline">
					All of them
				</Link>
			}
		>
			<Answer of={runs}>
				{({ rows }) =>
					rows.length === 0 ? (
						<p className="text-soft">None yet.</p>
					) : (
						<ul className="rows">
							{rows.map((run) => (
								<li
									key={run.pointId}
									className="flex flex-wrap justify-between gap-x-4 gap-y-1 py-2.5 first:pt-0 last:pb-0"
								>
									<div className="min-w-0">
										<Link href={`/backups/runs/${run.pointId}`} className="font-medium wrap-anywhere hover:underline">
											{of.guestId ? <DayTime at={run.startedAt ?? run.dueAt} /> : run.guest.name}
										</Link>
										<div className="text-sm text-soft">
											{of.guestId ? (
												(run.job?.name ?? `by ${run.requestedBy}`)
											) : (
												<DayTime at={run.startedAt ?? run.dueAt} />
											)}
											{run.startedAt !== null &&
												`, ${formatBytes(run.readBytes)} read, ${formatBytes(run.storedBytes)} stored`}
										</div>
									</div>
									<div className="sm:w-56">
										<RunStanding run={run} />
									</div>
								</li>
							))}
						</ul>
					)
				}
			</Answer>
		</Panel>
	);
}
