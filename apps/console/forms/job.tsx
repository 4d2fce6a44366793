"use client";
import { keepPreviousData, skipToken, useMutation, useQuery } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useDeferredValue, useState } from "react";
import { toast } from "sonner";
import { useRoleRefusal } from "../components/me.tsx";
import { toastProblem } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import type { JobView } from "../server/views-backups.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { Switch } from "../ui/switch.tsx";
import { draftOf, freshJob, type JobDraft, specOf } from "./job-draft.ts";
import { JobKeeping } from "./job-keeping.tsx";
import { JobPace } from "./job-pace.tsx";
import { JobPreviewPanel } from "./job-preview.tsx";
import { JobRepository } from "./job-repository.tsx";
import { JobSelection } from "./job-selection.tsx";
import { ScheduleFields } from "./schedule-fields.tsx";

/** What every part of the form gets: the draft, a way to change it, and what is wrong with it once that may be said. */
export interface JobPart {
	draft: JobDraft;
	set: (patch: Partial<JobDraft>) => void;
	errorOf: (field: string) => string | null;
}

/** A job, new or as it is: the form, and beside it what it would do, kept up to date while it is filled. */
export function JobForm({ job }: { job?: JobView }) {
	const trpc = useTRPC();
	const router = useRouter();
	const roleRefusal = useRoleRefusal("admin");
	const [draft, setDraft] = useState(() =>
		job ? draftOf(job.spec) : freshJob(Intl.DateTimeFormat().resolvedOptions().timeZone),
	);
	const [asked, setAsked] = useState(false);
	const { spec, errors } = specOf(draft);
	const shown = useDeferredValue(spec);
	const preview = useQuery(
		trpc.jobs.preview.queryOptions(shown ? { spec: shown, ...(job ? { id: job.id } : {}) } : skipToken, {
			placeholderData: keepPreviousData,
			staleTime: 0,
		}),
	);
	const saved = (id: string) => {
		toast.success(`${draft.name} was saved`);
		router.push(`/backups/jobs/${id}`);
	};
	const options = {
		onSuccess: ({ id }: { id: string }) => saved(id),
		onError: (error: unknown) => toastProblem(`${draft.name || "The job"} was not saved`, error),
	};
	const create = useMutation(trpc.jobs.create.mutationOptions(options));
	const update = useMutation(trpc.jobs.update.mutationOptions(options));
	const pending = create.isPending || update.isPending;
	const firstError = Object.values(errors)[0] ?? null;
	const part: JobPart = {
		draft,
		set: (patch) => setDraft((before) => ({ ...before, ...patch })),
		/** What was not touched yet is not complained about before saving. */
		errorOf: (field) => (asked || !isUntouched(field, draft) ? (errors[field] ?? null) : null),
	};
	return (
		<form
			noValidate
			className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1fr)_minmax(340px,1fr)]"
			onSubmit={(event) => {
				event.preventDefault();
				setAsked(true);
				if (!spec || roleRefusal || pending) return;
				if (job) update.mutate({ id: job.id, spec });
				else create.mutate({ spec });
			}}
		>
			<div className="flex min-w-0 flex-col gap-[18px]">
				<Panel title="The job">
					<div className="flex flex-col gap-4">
						<TextField
							label="Name"
							hint="Lower-case letters, digits and hyphens."
							error={part.errorOf("name")}
							value={draft.name}
							onValue={(name) => part.set({ name })}
							autoComplete="off"
							maxLength={63}
							required
						/>
						<JobRepository {...part} />
						<div className="flex items-center justify-between gap-4">
							<span>Runs on its schedule</span>
							<Switch
								label="Runs on its schedule"
								checked={draft.enabled}
								onChange={(enabled) => part.set({ enabled })}
							/>
						</div>
					</div>
				</Panel>
				<JobSelection {...part} matching={preview.data?.guests} />
				<Panel title="When">
					<ScheduleFields
						name="schedule"
						schedule={draft.schedule}
						onSchedule={(schedule) => part.set({ schedule })}
						timeZone={draft.timeZone}
						onTimeZone={(timeZone) => part.set({ timeZone })}
						error={part.errorOf("cron")}
						timeZoneError={part.errorOf("timeZone")}
					/>
				</Panel>
				<JobKeeping {...part} />
				<JobPace {...part} />
			</div>
			<div className="flex min-w-0 flex-col gap-[18px] xl:sticky xl:top-4">
				<JobPreviewPanel
					preview={preview.data}
					error={preview.error}
					onRetry={() => void preview.refetch()}
					missing={spec ? null : firstError}
					timeZone={draft.timeZone}
					changes={job !== undefined}
				/>
				<div className="flex justify-end gap-2">
					<Button onClick={() => router.push(job ? `/backups/jobs/${job.id}` : "/backups/jobs")}>Do nothing</Button>
					<Button type="submit" kind="primary" disabledReason={roleRefusal ?? firstError} pending={pending}>
						{job ? "Save the job" : "Create the job"}
					</Button>
				</div>
			</div>
		</form>
	);
}

function isUntouched(field: string, draft: JobDraft): boolean {
	switch (field) {
		case "name":
			return draft.name === "";
		case "repositoryId":
			return true;
		case "selection.guestIds":
			return draft.guestIds.length === 0;
		case "selection.tags":
			return draft.tags === "";
		case "selection.pool":
			return draft.pool === "";
		case "drill.check.text":
			return draft.drillText === "";
		default:
			return false;
	}
}
