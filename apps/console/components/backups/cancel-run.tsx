"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { toast } from "sonner";
import type { RunView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { useRoleRefusal } from "../me.tsx";
import { PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";

/** Gives a run up before its commit, or takes it from the queue; after its end there is nothing to give up. */
export function CancelRun({ run }: { run: RunView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const [open, setOpen] = useState(false);
	const cancel = useMutation(
		trpc.runs.cancel.mutationOptions({
			onSuccess: () => {
				toast.success(`The backup of ${run.guest.name} is given up`);
				void queryClient.invalidateQueries(trpc.runs.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem("The backup goes on", error),
		}),
	);
	if (run.endedAt !== null || run.state === "missed") return null;
	return (
		<>
			<Button kind="danger" disabledReason={run.cancelRefusal ?? roleRefusal} onClick={() => setOpen(true)}>
				Cancel the backup
			</Button>
			<PlanDialog
				open={open}
				onClose={() => setOpen(false)}
				title={`Cancel the backup of ${run.guest.name}`}
				plan={{
					steps: [
						`${run.guest.name} runs on; it notices nothing.`,
						"No recovery point comes of this run; the points before it stay as they are.",
						"The record of changes is kept: the next run reads what this one would have read.",
					],
					...(run.cancelRefusal ? { refusals: [{ code: "wrong_state" as const, message: run.cancelRefusal }] } : {}),
					undo: "back the guest up again; what was stored already is not sent twice.",
				}}
				confirm="Cancel the backup"
				danger
				pending={cancel.isPending}
				onConfirm={() => cancel.mutate({ pointId: run.pointId })}
			/>
		</>
	);
}
