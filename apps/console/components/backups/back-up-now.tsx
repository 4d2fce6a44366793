"use client";
import type { BackupPlan } from "@sterna/shared/backup";
import { formatBytes } from "@sterna/shared/units";
import { skipToken, useMutation, useQuery } from "@tanstack/react-query";
import { Archive } from "lucide-react";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import { freshJob, specOf } from "../../forms/job-draft.ts";
import type { GuestRef } from "../../server/views.ts";
import { Button } from "../../ui/button.tsx";
import { RadioCard } from "../../ui/radio-card.tsx";
import { useRoleRefusal } from "../me.tsx";
import { type Plan, PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { RepositoryHealthChip } from "./chips.tsx";
import { readSentence } from "./words.ts";

/** A backup outside any schedule, with what it will read and why before it begins. */
export function BackUpNow({ guest }: { guest: GuestRef }) {
	const roleRefusal = useRoleRefusal("operator");
	const [open, setOpen] = useState(false);
	return (
		<>
			<Button kind="primary" disabledReason={roleRefusal} onClick={() => setOpen(true)}>
				<Archive aria-hidden className="size-4" />
				Back up now
			</Button>
			{open && <BackUpDialog guest={guest} onClose={() => setOpen(false)} />}
		</>
	);
}

function BackUpDialog({ guest, onClose }: { guest: GuestRef; onClose: () => void }) {
	const trpc = useTRPC();
	const router = useRouter();
	const [chosen, setChosen] = useState<string | null>(null);
	const repositories = useQuery(trpc.repositories.list.queryOptions({ pageSize: 50 }));
	const rows = repositories.data?.rows ?? [];
	const repository = rows.find(({ id }) => id === chosen) ?? rows[0];
	/** What a job with only this guest would read is what the run reads. */
	const wish = specOf({
		...freshJob("UTC"),
		name: "now",
		repositoryId: repository?.id ?? "",
		by: "guests",
		guestIds: [guest.id],
	}).spec;
	const preview = useQuery(
		trpc.jobs.preview.queryOptions(wish ? { spec: wish } : skipToken, { staleTime: 0, gcTime: 0 }),
	);
	const read = preview.data?.plans[0];
	const start = useMutation(
		trpc.runs.start.mutationOptions({
			onSuccess: ({ pointId }) => {
				toast.success(`The backup of ${guest.name} began`);
				router.push(`/backups/runs/${pointId}`);
			},
			onError: (error) => toastProblem(`${guest.name} is not backed up`, error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Back up ${guest.name} now`}
			lead="Outside any schedule; schedules go on as before."
			plan={
				repositories.data && (!wish || preview.data) ? planOf(guest, repository?.name, read?.plan ?? null) : undefined
			}
			planError={repositories.error ?? preview.error}
			confirm="Back up now"
			pending={start.isPending}
			onConfirm={() => repository && start.mutate({ guestId: guest.id, repositoryId: repository.id })}
		>
			{rows.length > 0 && (
				<fieldset>
					<legend className="mb-1.5 text-sm font-semibold text-soft">To</legend>
					<div className="flex flex-col gap-1.5">
						{rows.map((row) => (
							<RadioCard
								key={row.id}
								name="repository"
								checked={row === repository}
								onChoose={() => setChosen(row.id)}
								title={
									<>
										{row.name} <RepositoryHealthChip health={row.health} />
									</>
								}
							>
								{row.place}
							</RadioCard>
						))}
					</div>
				</fieldset>
			)}
		</PlanDialog>
	);
}

function planOf(guest: GuestRef, repository: string | undefined, read: BackupPlan | null): Plan {
	return {
		steps: [
			`All disks of ${guest.name} are held at one instant; its file systems stand still for that instant only.`,
			read ? readSentence(read.volumes) : "Its host did not say what will be read; it decides when the run begins.",
			"The recovery point is there when its manifest is written.",
		],
		expect: read
			? [{ label: "To read", value: formatBytes(read.volumes.reduce((sum, { readBytes }) => sum + readBytes, 0)) }]
			: [],
		refusals: repository
			? (read?.refusals.map(({ code, message, cure }) => ({ code, message, ...(cure ? { cure } : {}) })) ?? [])
			: [
					{
						code: "not_found",
						message: "There is no repository to keep the point in.",
						cure: "Add a repository first.",
					},
				],
		undo: "cancel the run on its page, or remove the point afterwards.",
	};
}
