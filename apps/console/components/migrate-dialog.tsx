"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { GuestView, MigrationPlanView } from "../server/views-guests.ts";
import { FilterInput } from "../table/filter-input.tsx";
import { Chip } from "../ui/chip.tsx";
import { Switch } from "../ui/switch.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

type Candidate = MigrationPlanView["candidates"][number];

interface MigrateDialogProps {
	guest: GuestView;
	/** Chosen beforehand; otherwise the planner's choice stands. */
	targetHostId?: string;
	onClose: () => void;
}

/** Where the guest would go, what that takes, and what happens when it writes faster than the link copies. */
export function MigrateDialog({ guest, targetHostId, onClose }: MigrateDialogProps) {
	const trpc = useTRPC();
	const router = useRouter();
	const [chosen, setChosen] = useState(targetHostId ?? null);
	const [autoConverge, setAutoConverge] = useState(true);
	const [filter, setFilter] = useState("");
	const plans = useQuery(
		trpc.guests.planMigration.queryOptions(
			{ guestId: guest.id, filter },
			{ staleTime: 0, gcTime: 0, placeholderData: keepPreviousData },
		),
	);
	const notAsked = plans.data?.notAsked ?? 0;
	const candidates = plans.data?.candidates ?? [];
	const target =
		candidates.find((one) => one.target.id === chosen) ?? candidates.find((one) => one.chosen) ?? candidates[0];
	const migrate = useMutation(
		trpc.guests.migrate.mutationOptions({
			onSuccess: ({ migrationId }) => {
				toast.success(`${guest.name} is moving to ${target?.target.name ?? "another host"}`, {
					action: { label: "Watch", onClick: () => router.push(`/migrations/${migrationId}`) },
				});
				router.push(`/migrations/${migrationId}`);
			},
			onError: (error) => toastProblem(`${guest.name} stays where it is`, error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Migrate ${guest.name}`}
			lead={`It runs on ${guest.host.name} and keeps running while it moves.`}
			plan={plans.data && !plans.isPlaceholderData ? planOf(target, filter) : undefined}
			planError={plans.error}
			confirm={target ? `Migrate to ${target.target.name}` : "Migrate"}
			pending={migrate.isPending}
			onConfirm={() => {
				if (!target) return;
				migrate.mutate({
					guestId: guest.id,
					targetHostId: target.target.id,
					options: { autoConverge, maxDowntimeMs: 1000 },
				});
			}}
		>
			{(filter !== "" || notAsked > 0) && (
				<div>
					<FilterInput label="Find a host by name" value={filter} onValue={setFilter} />
					{notAsked > 0 && (
						<p className="mt-1 text-sm text-soft">
							The {candidates.length} that fit best stand below; {notAsked} more were not asked.
						</p>
					)}
				</div>
			)}
			{candidates.length > 0 && (
				<fieldset>
					<legend className="mb-1.5 text-sm font-semibold text-soft">To</legend>
					<div className="flex flex-col gap-1.5">
						{candidates.map((one) => (
							<TargetChoice
								key={one.target.id}
								candidate={one}
								checked={one === target}
								onChoose={() => setChosen(one.target.id)}
							/>
						))}
					</div>
				</fieldset>
			)}
			{candidates.length > 0 && (
				<div className="flex items-start justify-between gap-4">
					<div>
						<p className="font-medium">Slow the guest down if it writes too fast</p>
						<p className="text-sm text-soft">
							{autoConverge
								? "Its CPUs are throttled until the copy catches up; the pause stays below 1 s."
								: "The migration is given up and undone; the guest runs on where it is."}
						</p>
					</div>
					<Switch label="Slow the guest down if it writes too fast" checked={autoConverge} onChange={setAutoConverge} />
				</div>
			)}
		</PlanDialog>
	);
}

function planOf(candidate: Candidate | undefined, filter: string) {
	if (!candidate && filter !== "") {
		return {
			steps: [],
			refusals: [{ code: "not_found" as const, message: `No other host has “${filter}” in its name.` }],
			undo: "nothing would change.",
		};
	}
	if (!candidate) {
		return {
			steps: [],
			refusals: [
				{
					code: "no_capacity" as const,
					message: "There is no other host.",
					cure: "Join a second server to move guests.",
				},
			],
			undo: "nothing would change.",
		};
	}
	const { plan } = candidate;
	const refusals = plan && plan.refusals.length > 0 ? plan.refusals : candidate.refusals;
	if (!plan) return { steps: [], refusals, undo: "nothing would change." };
	return {
		steps: plan.steps,
		refusals,
		expect: [
			{
				label: "Expected duration",
				value: plan.predictedDurationMs === null ? "not known" : formatDuration(plan.predictedDurationMs),
			},
			{
				label: "Expected pause",
				value: plan.predictedDowntimeMs === null ? "not known" : formatDuration(plan.predictedDowntimeMs),
			},
			{
				label: "To copy",
				value:
					plan.diskBytes > 0
						? `${formatBytes(plan.memoryBytes)} + ${formatBytes(plan.diskBytes)} disk`
						: formatBytes(plan.memoryBytes),
			},
		],
		undo: plan.undo,
	};
}

function TargetChoice({
	candidate,
	checked,
	onChoose,
}: {
	candidate: Candidate;
	checked: boolean;
	onChoose: () => void;
}) {
	const refusals = candidate.plan && candidate.plan.refusals.length > 0 ? candidate.plan.refusals : candidate.refusals;
	return (
		<label className="flex cursor-pointer items-start gap-2.5 rounded-lg border border-line-strong px-3 py-2 has-checked:border-accent has-checked:bg-accent-soft">
			<input type="radio" name="target" checked={checked} onChange={onChoose} className="mt-0.5 size-4 accent-accent" />
			<span className="min-w-0">
				<span className="flex flex-wrap items-center gap-2 font-medium">
					{candidate.target.name}
					{candidate.chosen && <Chip tone="ok">proposed</Chip>}
				</span>
				<span className="block text-sm text-soft wrap-anywhere">
					{refusals[0]?.message ??
						(candidate.plan && candidate.plan.predictedDurationMs !== null
							? `about ${formatDuration(candidate.plan.predictedDurationMs)}`
							: "possible")}
				</span>
			</span>
		</label>
	);
}
