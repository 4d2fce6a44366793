"use client";
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, CircleDashed } from "lucide-react";
import type { ReactNode } from "react";
import { Panel } from "../../ui/panel.tsx";
import { ActionLink } from "../action-link.tsx";
import { useLive } from "../live.tsx";
import { useTRPC } from "../trpc.tsx";

/** What is missing before anything is backed up; nothing once there are a repository and a job. */
export function FirstSteps() {
	const trpc = useTRPC();
	const repositories = useQuery(trpc.repositories.list.queryOptions({ pageSize: 1 }));
	const jobs = useQuery(trpc.jobs.list.queryOptions({ pageSize: 1 }));
	useLive(["repositories", "jobs"]);
	const repository = repositories.data?.rows[0];
	if (!repositories.data || !jobs.data || (repository && jobs.data.total > 0)) return null;
	return (
		<Panel title="Two steps to the first backup" className="mb-[18px]">
			<ol className="rows">
				<Step
					done={repository !== undefined}
					title="A repository"
					what="A folder on your servers (a disk, an NFS mount) or an S3 bucket. What is stored is encrypted before it leaves the host."
					action={
						<ActionLink href="/backups/repositories/new" least="admin" kind="primary">
							Add a repository
						</ActionLink>
					}
				/>
				<Step
					done={jobs.data.total > 0}
					title="A job"
					what="Which guests, when, and for how long: with a preview of what it would do."
					action={
						repository && (
							<ActionLink href="/backups/jobs/new" least="admin" kind="primary">
								Create a job
							</ActionLink>
						)
					}
				/>
			</ol>
		</Panel>
	);
}

function Step(props: { done: boolean; title: string; what: string; action?: ReactNode }) {
	return (
		<li className="flex flex-wrap items-center gap-x-3 gap-y-2 py-3 first:pt-0 last:pb-0">
			{props.done ? (
				<CircleCheck aria-label="done" className="size-5 shrink-0 text-ok" />
			) : (
				<CircleDashed aria-label="missing" className="size-5 shrink-0 text-faint" />
			)}
			<div className="min-w-0 flex-1 basis-60">
				<div className="font-medium">{props.title}</div>
				<div className="text-sm text-soft">{props.what}</div>
			</div>
			{!props.done && props.action}
		</li>
	);
}
