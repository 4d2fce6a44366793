"use client";
import { refuseGuestAction } from "@sterna/shared/guest";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleAlert, CircleCheck } from "lucide-react";
import { useState } from "react";
import type { PowerAction } from "../server/routers/guests.ts";
import type { BulkResult, GuestRow } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { planOfPower } from "./guest-plans.ts";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";
import { actionWords } from "./words.ts";

const offered: readonly PowerAction[] = ["start", "shutDown", "pause", "resume", "powerOff", "delete"];

/** One action for all chosen guests: the plan says who takes part and who cannot, the outcome stands per guest. */
export function GuestBulk({ chosen, clear }: { chosen: readonly GuestRow[]; clear: () => void }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const [action, setAction] = useState<PowerAction | null>(null);
	const [results, setResults] = useState<readonly BulkResult[] | null>(null);
	const bulk = useMutation(
		trpc.guests.bulk.mutationOptions({
			onSuccess: (answer) => {
				setAction(null);
				setResults(answer.results);
				void queryClient.invalidateQueries(trpc.guests.pathFilter());
			},
			onError: (error) => toastProblem("Nothing was changed", error),
		}),
	);
	const sorted = chosen.map((guest) => ({ guest, refusal: action ? refusalOf(action, guest) : null }));
	const able = sorted.filter(({ refusal }) => refusal === null).map(({ guest }) => guest);
	const unable = sorted.filter(({ refusal }) => refusal !== null);
	return (
		<>
			<span className="mr-1 font-medium">{chosen.length} chosen</span>
			{offered.map((one) => (
				<Button
					key={one}
					small
					kind={one === "delete" || one === "powerOff" ? "danger" : "secondary"}
					disabledReason={
						roleRefusal ??
						(chosen.every((guest) => refusalOf(one, guest) !== null)
							? "none of the chosen guests allows this now"
							: null)
					}
					onClick={() => setAction(one)}
				>
					{actionWords[one].label}
				</Button>
			))}
			<Button kind="quiet" small onClick={clear}>
				Choose none
			</Button>
			{action && (
				<PlanDialog
					open
					onClose={() => setAction(null)}
					title={`${actionWords[action].label}: ${able.length} ${able.length === 1 ? "guest" : "guests"}`}
					plan={planOfPower(
						action,
						able.map((guest) => guest.name),
					)}
					confirm={actionWords[action].label}
					danger={action === "delete" || action === "powerOff"}
					pending={bulk.isPending}
					onConfirm={() => bulk.mutate({ action, guestIds: able.map((guest) => guest.id) })}
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

function refusalOf(action: PowerAction, guest: GuestRow): string | null {
	return refuseGuestAction(action, {
		state: guest.state,
		migrating: guest.moving !== null,
		hostOnline: guest.hostOnline,
	});
}
