"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { EllipsisVertical, Pencil, Play, Power, Trash2 } from "lucide-react";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { JobView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { buttonClass } from "../../ui/button-class.ts";
import { Menu } from "../../ui/menu.tsx";
import { ActionLink } from "../action-link.tsx";
import { useRoleRefusal } from "../me.tsx";
import { type Plan, PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { countOf } from "./words.ts";

type Action = "runNow" | "setEnabled" | "remove";
const icon = "size-4 shrink-0";

/** What may be done with a job; every action shows its plan first. */
export function JobActions({ job }: { job: JobView }) {
	const trpc = useTRPC();
	const router = useRouter();
	const queryClient = useQueryClient();
	const operator = useRoleRefusal("operator");
	const admin = useRoleRefusal("admin");
	const [asked, setAsked] = useState<Action | null>(null);
	const done = (message: string) => {
		toast.success(message);
		void queryClient.invalidateQueries(trpc.jobs.pathFilter());
		setAsked(null);
	};
	const onError = (error: unknown) => toastProblem(`The job ${job.name} stays as it is`, error);
	const runNow = useMutation(
		trpc.jobs.runNow.mutationOptions({
			onSuccess: ({ runs }) =>
				done(
					`${countOf(runs, "backup")} of the job ${job.name} ${runs === 1 ? "waits for its" : "wait for their"} turn`,
				),
			onError,
		}),
	);
	const setEnabled = useMutation(
		trpc.jobs.setEnabled.mutationOptions({
			onSuccess: () => done(`The job ${job.name} is ${job.enabled ? "switched off" : "switched on"}`),
			onError,
		}),
	);
	const remove = useMutation(
		trpc.jobs.remove.mutationOptions({
			onSuccess: () => {
				done(`The job ${job.name} was deleted; its points stay`);
				router.push("/backups/jobs");
			},
			onError,
		}),
	);
	const confirm = () => {
		if (asked === "runNow") runNow.mutate({ id: job.id });
		if (asked === "setEnabled") setEnabled.mutate({ id: job.id, enabled: !job.enabled });
		if (asked === "remove") remove.mutate({ id: job.id });
	};
	return (
		<>
			<Button
				kind="primary"
				disabledReason={operator ?? (job.guests === 0 ? "no guest matches the job now" : null)}
				onClick={() => setAsked("runNow")}
			>
				<Play aria-hidden className={icon} />
				Run now
			</Button>
			<ActionLink href={`/backups/jobs/${job.id}/edit`} least="admin">
				<Pencil aria-hidden className={icon} />
				Change
			</ActionLink>
			<Menu
				trigger={
					<button type="button" aria-label="More actions" className={buttonClass()}>
						<EllipsisVertical aria-hidden className={icon} />
					</button>
				}
				entries={[
					{
						label: job.enabled ? "Switch off" : "Switch on",
						icon: <Power aria-hidden className={icon} />,
						disabledReason: admin,
						onSelect: () => setAsked("setEnabled"),
					},
					{
						label: "Delete the job",
						icon: <Trash2 aria-hidden className={icon} />,
						danger: true,
						disabledReason: admin,
						onSelect: () => setAsked("remove"),
					},
				]}
			/>
			{asked && (
				<PlanDialog
					open
					onClose={() => setAsked(null)}
					title={`${titles(job)[asked]}: the job ${job.name}`}
					plan={planOf(asked, job)}
					confirm={titles(job)[asked]}
					danger={asked === "remove"}
					pending={runNow.isPending || setEnabled.isPending || remove.isPending}
					onConfirm={confirm}
				/>
			)}
		</>
	);
}

function titles(job: JobView): Record<Action, string> {
	return { runNow: "Run now", setEnabled: job.enabled ? "Switch off" : "Switch on", remove: "Delete" };
}

function planOf(action: Action, job: JobView): Plan {
	switch (action) {
		case "runNow":
			return {
				steps: [
					`${countOf(job.guests, "guest")} ${job.guests === 1 ? "waits for its" : "wait for their"} turn: ${job.spec.atOncePerHost} at once on a host, ${job.spec.atOncePerRepository} to the repository.`,
					"Each is backed up once; the schedule goes on as before.",
				],
				undo: "cancel the runs on their pages; a finished point may be removed.",
			};
		case "setEnabled":
			return job.enabled
				? {
						steps: [
							"No run begins by the schedule any more; one that is under way ends as usual.",
							"Its points stay, under its retention. Its guests are called late when their points are too old.",
						],
						undo: "switch it on again.",
					}
				: { steps: ["Runs begin by the schedule again, from its next time on."], undo: "switch it off again." };
		case "remove":
			return {
				steps: [
					"The job and its schedule are gone; runs that wait are taken from the queue.",
					"The recovery points that it made stay.",
				],
				undo: "create the job again; what it made is still there.",
			};
	}
}
