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
import { modeWord } from "./words.ts";

/** Gives a restore or a drill up while that is safe; after its end there is nothing to give up. */
export function CancelRestore({ restore }: { restore: RestoreView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const [open, setOpen] = useState(false);
	const what = modeWord[restore.mode];
	const cancel = useMutation(
		trpc.restores.cancel.mutationOptions({
			onSuccess: () => {
				toast.success(`The ${what} of ${restore.guest.name} is being undone`);
				void queryClient.invalidateQueries(trpc.restores.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem(`The ${what} goes on`, error),
		}),
	);
	if (restore.endedAt !== null) return null;
	return (
		<>
			<Button kind="danger" disabledReason={restore.cancelRefusal ?? roleRefusal} onClick={() => setOpen(true)}>
				Cancel the {what}
			</Button>
			<PlanDialog
				open={open}
				onClose={() => setOpen(false)}
				title={`Cancel the ${what} of ${restore.guest.name}`}
				plan={{
					steps: [
						restore.mode === "drill"
							? "The guest of the drill is thrown away; nothing is proved."
							: restore.target.id === restore.guest.id
								? `${restore.guest.name} stays stopped; what was written over is not there any more.`
								: `${restore.target.name} is stopped and its disks are thrown away.`,
						"The recovery point stays as it is.",
					],
					...(restore.cancelRefusal
						? { refusals: [{ code: "wrong_state" as const, message: restore.cancelRefusal }] }
						: {}),
					undo: "begin again from the point; it starts from the beginning.",
				}}
				confirm={`Cancel the ${what}`}
				danger
				pending={cancel.isPending}
				onConfirm={() => cancel.mutate({ id: restore.id })}
			/>
		</>
	);
}
