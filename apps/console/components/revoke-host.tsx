"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { toast } from "sonner";
import type { HostView } from "../server/views-hosts.ts";
import { Button } from "../ui/button.tsx";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

/** Shuts a server out for good. */
export function RevokeButton({ host }: { host: HostView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("admin");
	const [open, setOpen] = useState(false);
	const revoke = useMutation(
		trpc.hosts.revoke.mutationOptions({
			onSuccess: () => {
				toast.success(`${host.name} is shut out`);
				void queryClient.invalidateQueries(trpc.hosts.pathFilter());
				setOpen(false);
			},
			onError: (error) => toastProblem(`${host.name} is still trusted`, error),
		}),
	);
	return (
		<>
			<Button
				kind="danger"
				disabledReason={roleRefusal ?? (host.connection === "revoked" ? "it is revoked already" : null)}
				onClick={() => setOpen(true)}
			>
				Revoke
			</Button>
			{open && (
				<PlanDialog
					open
					onClose={() => setOpen(false)}
					title={`Revoke ${host.name}`}
					plan={{
						steps: [
							"Its certificate is refused from now on, and its connection is closed.",
							host.guestsRunning === 0
								? "No guest runs on it."
								: `Its ${host.guestsRunning} running ${host.guestsRunning === 1 ? "guest runs" : "guests run"} on, unseen and beyond reach.`,
						],
						undo: "join the server again with a new line; it gets a new identity.",
					}}
					confirm="Revoke"
					danger
					pending={revoke.isPending}
					onConfirm={() => revoke.mutate({ hostId: host.id })}
				/>
			)}
		</>
	);
}
