"use client";
import { keepPreviousData, skipToken, useMutation, useQuery } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useDeferredValue, useState } from "react";
import { toast } from "sonner";
import { PointChoice } from "../components/backups/point-choice.tsx";
import { useRoleRefusal } from "../components/me.tsx";
import { toastProblem } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import type { PointView } from "../server/views-backups.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Notice } from "../ui/notice.tsx";
import { Panel } from "../ui/panel.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { confirmRefusal, freshRestore, type RestoreDraft, restoreOf } from "./restore-draft.ts";
import { RestorePlanPanel } from "./restore-plan.tsx";
import { RestoreWhere } from "./restore-where.tsx";

const recheckMs = 3000;

const ways: { way: RestoreDraft["way"]; title: string; what: string }[] = [
	{
		way: "instant",
		title: "A new guest, at once",
		what: "It runs within seconds from the repository, while its data streams in behind it.",
	},
	{
		way: "new",
		title: "A new guest, copied first",
		what: "Its disks are written whole, then it starts. The old one is not touched.",
	},
	{ way: "over", title: "Over the old guest", what: "It becomes what it was then. What it holds now is lost." },
	{ way: "disk", title: "One disk", what: "Beside the disks of a guest, to take from it what is needed." },
];

export interface RestorePart {
	draft: RestoreDraft;
	set: (patch: Partial<RestoreDraft>) => void;
	point: PointView;
}

/** Bringing a point back: how, where, and beside it the plan, kept up to date while the form is filled. */
export function RestoreForm({ point }: { point: PointView }) {
	const trpc = useTRPC();
	const router = useRouter();
	const operator = useRoleRefusal("operator");
	const admin = useRoleRefusal("admin");
	const [draft, setDraft] = useState(() => freshRestore(point));
	const set = (patch: Partial<RestoreDraft>) => setDraft((before) => ({ ...before, ...patch }));
	const { request, missing } = restoreOf(draft, point);
	const asked = useDeferredValue(request);
	const plan = useQuery(
		trpc.restores.plan.queryOptions(asked ?? skipToken, {
			placeholderData: keepPreviousData,
			staleTime: 0,
			// What stands in the way is cured elsewhere: a guest is stopped, a host comes back.
			refetchInterval: ({ state }) => (state.data?.refusals.length ? recheckMs : false),
		}),
	);
	const start = useMutation(
		trpc.restores.start.mutationOptions({
			onSuccess: ({ id }) => {
				toast.success(`The restore of ${point.guest.name} began`);
				router.push(`/backups/restores/${id}`);
			},
			onError: (error) => toastProblem(`${point.guest.name} was not restored`, error),
		}),
	);
	const roleRefusal = draft.way === "instant" || draft.way === "new" ? operator : admin;
	const reason =
		roleRefusal ??
		missing ??
		(plan.data
			? plan.data.refusals.length > 0
				? "something stands in the way; see the plan"
				: null
			: "the plan is not there yet") ??
		confirmRefusal(draft, point.guest.name);
	return (
		<form
			noValidate
			className="grid items-start gap-[18px] xl:grid-cols-[minmax(0,1fr)_minmax(340px,1fr)]"
			onSubmit={(event) => {
				event.preventDefault();
				if (!reason && request && !start.isPending) start.mutate(request);
			}}
		>
			<div className="flex min-w-0 flex-col gap-[18px]">
				<Panel title="From">
					<PointChoice point={point} />
				</Panel>
				<Panel title="How">
					<fieldset>
						<legend className="sr-only">How to restore</legend>
						<div className="grid gap-2 sm:grid-cols-2">
							{ways.map(({ way, title, what }) => (
								<RadioCard key={way} name="way" checked={draft.way === way} onChoose={() => set({ way })} title={title}>
									{what}
								</RadioCard>
							))}
						</div>
					</fieldset>
				</Panel>
				<RestoreWhere draft={draft} set={set} point={point} hosts={plan.data?.hosts ?? []} />
			</div>
			<div className="flex min-w-0 flex-col gap-[18px]">
				<RestorePlanPanel plan={plan.data} error={plan.error} onRetry={() => void plan.refetch()} missing={missing} />
				{draft.way === "over" && (
					<Notice tone="bad" title={`What ${point.guest.name} holds now is lost.`}>
						<p className="text-soft">
							Everything written since this point is gone for good, unless it is in a newer point. Back it up first if
							you are not sure.
						</p>
						<TextField
							label={`Type ${point.guest.name} to confirm`}
							fieldClassName="mt-3"
							value={draft.typed}
							onValue={(typed) => set({ typed })}
							autoComplete="off"
							spellCheck={false}
						/>
					</Notice>
				)}
				<div className="flex justify-end gap-2">
					<Button onClick={() => router.push(`/backups/points/${point.id}`)}>Do nothing</Button>
					<Button
						type="submit"
						kind={draft.way === "over" ? "danger" : "primary"}
						disabledReason={reason}
						pending={start.isPending}
					>
						{confirmWord(draft, point.guest.name)}
					</Button>
				</div>
			</div>
		</form>
	);
}

function confirmWord(draft: RestoreDraft, guestName: string): string {
	switch (draft.way) {
		case "instant":
			return `Start ${draft.name || "it"} at once`;
		case "new":
			return `Restore to ${draft.name || "a new guest"}`;
		case "over":
			return `Restore over ${guestName}`;
		case "disk":
			return "Restore the disk";
	}
}
