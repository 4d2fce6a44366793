"use client";
import { type GuestAction, refuseGuestAction } from "@sterna/shared/guest";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ArrowRightLeft, EllipsisVertical, Pause, Play, Power, Trash2, Zap } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { PowerAction } from "../server/routers/guests.ts";
import type { GuestView } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { buttonClass } from "../ui/button-class.ts";
import { Menu } from "../ui/menu.tsx";
import { ForgetGuest } from "./forget-guest.tsx";
import { planOfPower } from "./guest-plans.ts";
import { useRoleRefusal } from "./me.tsx";
import { MigrateDialog } from "./migrate-dialog.tsx";
import { PlanDialog } from "./plan-dialog.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";
import { actionWords } from "./words.ts";

const icon = "size-4 shrink-0";
const icons = {
	start: <Play aria-hidden className={icon} />,
	resume: <Play aria-hidden className={icon} />,
	pause: <Pause aria-hidden className={icon} />,
	shutDown: <Power aria-hidden className={icon} />,
	powerOff: <Zap aria-hidden className={icon} />,
	delete: <Trash2 aria-hidden className={icon} />,
};

/** What may be done with a guest now; what may not says why. Every action shows its plan first. */
export function GuestActions({ guest }: { guest: GuestView }) {
	const roleRefusal = useRoleRefusal("operator");
	const [asked, setAsked] = useState<GuestAction | null>(null);
	const refusal = (action: GuestAction) =>
		roleRefusal ??
		refuseGuestAction(action, {
			state: guest.state,
			migrating: guest.moving !== null,
			hostOnline: guest.hostOnline,
		});
	const first: PowerAction =
		guest.state === "paused" ? "resume" : guest.state === "stopped" || guest.state === "crashed" ? "start" : "shutDown";
	const others = (["start", "shutDown", "pause", "resume", "powerOff", "delete"] as const).filter(
		(action) => action !== first,
	);
	return (
		<>
			{guest.moving && (
				<Link href={`/migrations/${guest.moving.migrationId}`} className={buttonClass("primary")}>
					Watch the migration
				</Link>
			)}
			<Button
				kind={guest.moving ? "secondary" : "primary"}
				disabledReason={refusal("migrate")}
				onClick={() => setAsked("migrate")}
			>
				<ArrowRightLeft aria-hidden className={icon} />
				Migrate
			</Button>
			<Button disabledReason={refusal(first)} onClick={() => setAsked(first)}>
				{icons[first]}
				{actionWords[first].label}
			</Button>
			<Menu
				trigger={
					<button type="button" aria-label="More actions" className={buttonClass()}>
						<EllipsisVertical aria-hidden className={icon} />
					</button>
				}
				entries={others.map((action) => ({
					label: actionWords[action].label,
					icon: icons[action],
					danger: action === "delete" || action === "powerOff",
					disabledReason: refusal(action),
					onSelect: () => setAsked(action),
				}))}
			/>
			{guest.hostRevoked && <ForgetGuest guest={guest} />}
			{asked === "migrate" && <MigrateDialog guest={guest} onClose={() => setAsked(null)} />}
			{asked && asked !== "migrate" && <PowerDialog guest={guest} action={asked} onClose={() => setAsked(null)} />}
		</>
	);
}

function PowerDialog({ guest, action, onClose }: { guest: GuestView; action: PowerAction; onClose: () => void }) {
	const trpc = useTRPC();
	const router = useRouter();
	const queryClient = useQueryClient();
	const words = actionWords[action];
	const options = {
		onSuccess: () => {
			toast.success(`${guest.name} ${words.accepted}`, {
				action: { label: "Events", onClick: () => router.push(`/events?object=${guest.id}`) },
			});
			void queryClient.invalidateQueries(trpc.guests.pathFilter());
			onClose();
			if (action === "delete") router.push("/guests");
		},
		onError: (error: unknown) => toastProblem(`${words.label} was refused for ${guest.name}`, error),
	};
	const mutations = {
		start: useMutation(trpc.guests.start.mutationOptions(options)),
		shutDown: useMutation(trpc.guests.shutDown.mutationOptions(options)),
		powerOff: useMutation(trpc.guests.powerOff.mutationOptions(options)),
		pause: useMutation(trpc.guests.pause.mutationOptions(options)),
		resume: useMutation(trpc.guests.resume.mutationOptions(options)),
		delete: useMutation(trpc.guests.delete.mutationOptions(options)),
	};
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`${words.label} ${guest.name}`}
			plan={planOfPower(action, [guest.name])}
			confirm={words.label}
			danger={action === "delete" || action === "powerOff"}
			pending={mutations[action].isPending}
			onConfirm={() => mutations[action].mutate({ guestId: guest.id })}
		/>
	);
}
