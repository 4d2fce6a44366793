"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { toast } from "sonner";
import type { RestoreView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { useRoleRefusal } from "../me.tsx";
import { PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";

/** Ends an instant restore that can only go forward and does not get there. Offered once it cannot be cancelled any more. */
export function StopTrying({ restore }: { restore: RestoreView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("admin");
	const [open, setOpen] = useState(false);
	const { target, giveUpRefusal } = restore;
	const giveUp = useMutation(
		trpc.restores.giveUp.mutationOptions({
			onSuccess: () => {
				toast.success(`The restore is given up; ${target.name} stays stopped`);
				void queryClient.invalidateQueries(trpc.restores.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem("The restore goes on", error),
		}),
	);
	const isOffered =
		restore.endedAt === null && restore.mode === "instant" && (restore.phase === "boot" || restore.phase === "stream");
	if (!isOffered) return null;
	return (
		<>
			<Button disabledReason={roleRefusal} onClick={() => setOpen(true)}>
				Stop trying
			</Button>
			<PlanDialog
				open={open}
				onClose={() => setOpen(false)}
				title={`Stop trying to restore ${target.name}`}
				lead="For a repository that does not come back. What is not here yet never comes."
				plan={{
					steps: [
						`Nothing is deleted: the disks of ${target.name} stay half filled, with all that it wrote since it was started.`,
						`${target.name} stays stopped; it is not started, saved or moved from half-filled disks.`,
						"The restore is recorded as given up, and its hold on the recovery point in the repository ends.",
						`Afterwards delete ${target.name}, or restore over it again.`,
					],
					...(giveUpRefusal ? { refusals: [{ code: "wrong_state" as const, ...giveUpRefusal }] } : {}),
					undo: "this cannot be undone; restore over it from the same or another point.",
				}}
				confirm="Stop trying"
				danger
				pending={giveUp.isPending}
				onConfirm={() => giveUp.mutate({ id: restore.id })}
			/>
		</>
	);
}
