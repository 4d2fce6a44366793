"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { toast } from "sonner";
import type { MigrationView } from "../server/views-migrations.ts";
import { Button } from "../ui/button.tsx";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

/** Gives a move up while that is safe; after its end there is nothing to give up. */
export function CancelMigration({ move }: { move: MigrationView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("operator");
	const [open, setOpen] = useState(false);
	const cancel = useMutation(
		trpc.migrations.cancel.mutationOptions({
			onSuccess: () => {
				toast.success(`The move of ${move.guest.name} is being undone`);
				void queryClient.invalidateQueries(trpc.migrations.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem("The move goes on", error),
		}),
	);
	if (move.endedAt !== null) return null;
	return (
		<>
			<Button kind="danger" disabledReason={move.cancelRefusal ?? roleRefusal} onClick={() => setOpen(true)}>
				Cancel the move
			</Button>
			<PlanDialog
				open={open}
				onClose={() => setOpen(false)}
				title={`Cancel the move of ${move.guest.name}`}
				plan={{
					steps: [
						`${move.guest.name} runs on where it is, on ${move.source.name}; it notices nothing.`,
						`${move.target.name} throws away what it received.`,
					],
					...(move.cancelRefusal ? { refusals: [{ code: "wrong_state" as const, message: move.cancelRefusal }] } : {}),
					undo: "begin the move again; it starts from the beginning.",
				}}
				confirm="Cancel the move"
				danger
				pending={cancel.isPending}
				onConfirm={() => cancel.mutate({ migrationId: move.id })}
			/>
		</>
	);
}
