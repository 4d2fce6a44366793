"use client";
import { refuseGuestAction } from "@sterna/shared/guest";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useState } from "react";
import type { PowerAction } from "../server/routers/guests.ts";
import type { BulkResult, GuestRow } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { planOfForget, planOfPower } from "./guest-plans.ts";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";
import { actionWords } from "./words.ts";

/** A power action, or forgetting guests of revoked hosts. */
type Bulk = PowerAction | "forget";

const offered: readonly PowerAction[] = ["start", "shutDown", "pause", "resume", "powerOff", "delete"];
const isDanger = (action: Bulk) => action === "delete" || action === "powerOff" || action === "forget";
const labelOf = (action: Bulk) => (action === "forget" ? "Forget" : actionWords[action].label);

/** One action for all chosen guests: the plan says who takes part and who cannot, the outcome stands per guest. */
export function GuestBulk({ chosen, clear }: { chosen: readonly GuestRow[]; clear: () => void }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const adminRefusal = useRoleRefusal("admin");
	const [action, setAction] = useState<Bulk | null>(null);
	const [results, setResults] = useState<readonly BulkResult[] | null>(null);
	const options = {
		onSuccess: (answer: { results: readonly BulkResult[] }) => {
			setAction(null);
			setResults(answer.results);
			void queryClient.invalidateQueries(trpc.guests.pathFilter());
		},
		onError: (error: unknown) => toastProblem("Nothing was changed", error),
	};
	const bulk = useMutation(trpc.guests.bulk.mutationOptions(options));
	const forget = useMutation(trpc.guests.forgetMany.mutationOptions(options));
	const sorted = chosen.map((guest) => ({ guest, refusal: action ? refusalOf(action, guest) : null }));
	const able = sorted.filter(({ refusal }) => refusal === null).map(({ guest }) => guest);
	const names = able.map(({ name }) => name);
	const hosts = able.map(({ host }) => host.name);
	const unable = sorted.filter(({ refusal }) => refusal !== null);
	return (
		<>
			<span className="mr-1 font-medium">{chosen.length} chosen</span>
			{[...offered, ...(chosen.some(({ hostRevoked }) => hostRevoked) ? (["forget"] as const) : [])].map((one) => (
				<Button
					key={one}
					small
					kind={isDanger(one) ? "danger" : "secondary"}
					disabledReason={
						(one === "forget" ? adminRefusal : roleRefusal) ??
						(chosen.every((guest) => refusalOf(one, guest) !== null)
							? "none of the chosen guests allows this now"
							: null)
					}
					onClick={() => setAction(one)}
				>
					{labelOf(one)}
				</Button>
			))}
			<Button kind="quiet" small onClick={clear}>
				Choose none
			</Button>
			{action && (
				<PlanDialog
					open
					onClose={() => setAction(null)}
					title={`${labelOf(action)}: ${able.length} ${able.length === 1 ? "guest" : "guests"}`}
					plan={action === "forget" ? planOfForget(names, hosts) : planOfPower(action, names)}
					confirm={labelOf(action)}
					danger={isDanger(action)}
					pending={bulk.isPending || forget.isPending}
					onConfirm={() => {
						const guestIds = able.map(({ id }) => id);
						if (action === "forget") forget.mutate({ guestIds });
						else bulk.mutate({ action, guestIds });
					}}
				>
					{unable.length > 0 && (
						<div className="rounded-lg bg-sunken px-3 py-2.5">
							<p className="font-medium">Left out</p>
							<ul className="mt-1 text-soft">
								{unable.map(({ guest, refusal }) => (
									<li key={guest.id}>
										{guest.name}: {refusal}
									</li>
								))}
							</ul>
						</div>
					)}
				</PlanDialog>
			)}
			<Dialog
				open={results !== null}
				onClose={() => {
					setResults(null);
					clear();
				}}
				title="What became of each guest"
			>
				<ul className="rows">
					{results?.map((result) => (
						<li key={result.guestId} className="flex gap-2.5 py-2">
							{result.ok ? (
								<CircleCheck aria-label="done" className="mt-0.5 size-4 shrink-0 text-ok" />
							) : (
								<CircleAlert aria-label="not done" className="mt-0.5 size-4 shrink-0 text-bad" />
							)}
							<div className="min-w-0 wrap-anywhere">
								<b>{result.name ?? result.guestId}</b>: {result.message}
								{result.cure && <div className="text-sm text-soft">{result.cure}</div>}
							</div>
						</li>
					))}
				</ul>
			</Dialog>
		</>
	);
}

function refusalOf(action: Bulk, guest: GuestRow): string | null {
	if (action === "forget")
		return guest.hostRevoked ? (guest.forgetRefusal?.message ?? null) : "its host was not revoked";
	return refuseGuestAction(action, {
		state: guest.state,
		migrating: guest.moving !== null,
		hostOnline: guest.hostOnline,
	});
}
