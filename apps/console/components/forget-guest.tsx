"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { GuestView } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { planOfForget } from "./guest-plans.ts";
import { useRoleRefusal } from "./me.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

/** Removes the record of a guest whose host was revoked and is gone for ever. */
export function ForgetGuest({ guest }: { guest: GuestView }) {
	const trpc = useTRPC();
	const router = useRouter();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("admin");
	const [open, setOpen] = useState(false);
	const [typed, setTyped] = useState("");
	const forget = useMutation(
		trpc.guests.forget.mutationOptions({
			onSuccess: () => {
				toast.success(`${guest.name} is forgotten`);
				router.push("/guests");
				void queryClient.invalidateQueries(trpc.guests.list.pathFilter());
			},
			onError: (error) => toastProblem(`${guest.name} is not forgotten`, error),
		}),
	);
	return (
		<>
			<Button
				kind="danger"
				disabledReason={roleRefusal}
				onClick={() => {
					// What stands in the way passes with time, which nobody tells this page.
					void queryClient.invalidateQueries(trpc.guests.get.queryFilter({ guestId: guest.id }));
					setOpen(true);
				}}
			>
				Forget
			</Button>
			{open && (
				<PlanDialog
					open
					onClose={() => setOpen(false)}
					title={`Forget ${guest.name}`}
					plan={{
						...planOfForget([guest.name], [guest.host.name]),
						...(guest.forgetRefusal ? { refusals: [{ code: "wrong_state" as const, ...guest.forgetRefusal }] } : {}),
					}}
					confirm="Forget it"
					danger
					confirmRefusal={typed === guest.name ? null : `type ${guest.name} to confirm`}
					pending={forget.isPending}
					onConfirm={() => forget.mutate({ guestId: guest.id, name: typed })}
				>
					<TextField
						label={`Type ${guest.name} to confirm`}
						value={typed}
						onValue={setTyped}
						autoComplete="off"
						spellCheck={false}
					/>
				</PlanDialog>
			)}
		</>
	);
}
