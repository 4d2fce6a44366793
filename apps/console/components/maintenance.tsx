"use client";
import { formatDuration } from "@sterna/shared/units";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { HostView, MaintenancePlan } from "../server/views-hosts.ts";
import { Button } from "../ui/button.tsx";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";
import { sentence } from "./words.ts";

/** Takes a host out of service, emptied, or back into it; the plan first. */
export function MaintenanceButton({ host }: { host: HostView }) {
	const [open, setOpen] = useState(false);
	const roleRefusal = useRoleRefusal("operator");
	const leaving = host.mode !== "normal";
	const refusal =
		roleRefusal ??
		(host.connection === "revoked" ? "its certificate is revoked" : null) ??
		(host.mode === "evacuating" ? "it is being emptied; cancel the evacuation to keep it in service" : null);
	return (
		<>
			<Button
				kind={host.mode === "maintenance" ? "primary" : "secondary"}
				disabledReason={refusal}
				onClick={() => setOpen(true)}
			>
				{leaving ? "Back to service" : "Maintenance"}
			</Button>
			{open && leaving && <LeaveDialog host={host} onClose={() => setOpen(false)} />}
			{open && !leaving && <EnterDialog host={host} onClose={() => setOpen(false)} />}
		</>
	);
}

function EnterDialog({ host, onClose }: { host: HostView; onClose: () => void }) {
	const trpc = useTRPC();
	const router = useRouter();
	const plan = useQuery(trpc.hosts.planMaintenance.queryOptions({ hostId: host.id }, { staleTime: 0, gcTime: 0 }));
	const enter = useMutation(
		trpc.hosts.setMaintenance.mutationOptions({
			onSuccess: ({ evacuationId }) => {
				toast.success(`${host.name} is being emptied`);
				router.push(`/evacuations/${evacuationId}`);
			},
			onError: (error) => toastProblem(`${host.name} stays in service`, error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Take ${host.name} out of service`}
			lead={
				host.connection === "online"
					? "Its running guests leave, one after the other, without stopping."
					: "Its agent is not heard: it gets no new guests, and those it has leave when it is heard again."
			}
			plan={
				plan.data && {
					steps: [],
					expect: [
						{ label: "Guests to move", value: String(plan.data.moves.length) },
						{
							label: "Expected duration",
							value: plan.data.moves.length === 0 ? "–" : formatDuration(plan.data.predictedDurationMs),
						},
					],
					undo: plan.data.undo,
				}
			}
			planError={plan.error}
			confirm={plan.data && plan.data.blocked.length > 0 ? "Move those that can" : "Empty the host"}
			pending={enter.isPending}
			onConfirm={() => enter.mutate({ hostId: host.id })}
		>
			{plan.data && <Moves plan={plan.data} />}
		</PlanDialog>
	);
}

function Moves({ plan }: { plan: MaintenancePlan }) {
	return (
		<>
			{plan.blocked.length > 0 && (
				<section aria-label="Guests that cannot leave">
					<h3 className="mb-1.5 text-sm font-semibold text-soft">Cannot leave, and stay</h3>
					<ul className="flex flex-col gap-1.5">
						{plan.blocked.map(({ guest, refusal }) => (
							<li key={guest.id} className="border-l-2 border-warn pl-2.5">
								<b>{guest.name}</b>: {refusal.message}
								{refusal.cure && <span className="block text-sm text-soft">{sentence(refusal.cure)}</span>}
							</li>
						))}
					</ul>
				</section>
			)}
			<section aria-label="Guests that leave">
				<h3 className="mb-1.5 text-sm font-semibold text-soft">Leave, in this order</h3>
				{plan.moves.length === 0 ? (
					<p className="text-soft">No guest has to move.</p>
				) : (
					<ol className="rows">
						{plan.moves.map(({ guest, target, predictedDurationMs }) => (
							<li key={guest.id} className="flex justify-between gap-4 py-1.5">
								<span className="min-w-0 wrap-anywhere">
									<b>{guest.name}</b> to {target.name}
								</span>
								<span className="text-soft">{formatDuration(predictedDurationMs)}</span>
							</li>
						))}
					</ol>
				)}
			</section>
			{plan.staying.length > 0 && (
				<p className="text-soft">
					{plan.staying.map((guest) => guest.name).join(", ")} {plan.staying.length === 1 ? "does" : "do"} not run and{" "}
					{plan.staying.length === 1 ? "stays" : "stay"} on the host.
				</p>
			)}
		</>
	);
}

function LeaveDialog({ host, onClose }: { host: HostView; onClose: () => void }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const failing = host.findings.filter((finding) => finding.state === "open" && finding.severity === "failing");
	const leave = useMutation(
		trpc.hosts.leaveMaintenance.mutationOptions({
			onSuccess: () => {
				toast.success(`${host.name} is back in service`);
				void queryClient.invalidateQueries(trpc.hosts.pathFilter());
				onClose();
			},
			onError: (error) => toastProblem(`${host.name} stays out of service`, error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Put ${host.name} back to service`}
			plan={{
				steps: [`${host.name} takes guests again. None moves back by itself.`],
				refusals: failing.map((finding) => ({
					code: "wrong_state",
					message: `${finding.component} is failing: ${finding.rule}`,
					cure: "replace the part, then release the finding on this page",
				})),
				undo: "take it out of service again.",
			}}
			confirm="Back to service"
			pending={leave.isPending}
			onConfirm={() => leave.mutate({ hostId: host.id })}
		/>
	);
}
