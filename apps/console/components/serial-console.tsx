"use client";
import { useMutation } from "@tanstack/react-query";
import dynamic from "next/dynamic";
import { useState } from "react";
import type { GuestView } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { Panel } from "../ui/panel.tsx";
import { useRoleRefusal } from "./me.tsx";
import { ProblemNotice } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

const Terminal = dynamic(() => import("./terminal.tsx").then((module) => module.Terminal), {
	ssr: false,
	loading: () => <div className="h-[360px] rounded-lg bg-sunken" />,
});

/** The guest's serial line, opened when asked for: what it writes, and a keyboard to answer. */
export function SerialConsole({ guest }: { guest: GuestView }) {
	const trpc = useTRPC();
	const roleRefusal = useRoleRefusal("operator");
	const [ended, setEnded] = useState<string | null>(null);
	const open = useMutation(trpc.guests.openSerial.mutationOptions({ onMutate: () => setEnded(null) }));
	const ticket = open.data;
	const refusal =
		roleRefusal ??
		(guest.hostOnline ? null : "its host is out of reach") ??
		(guest.state === "stopped" ? "it is stopped; start it first" : null);
	return (
		<Panel
			title="Serial console"
			aside={
				ticket && (
					<Button small kind="quiet" onClick={() => open.reset()}>
						Close
					</Button>
				)
			}
		>
			{ticket ? (
				<>
					<Terminal key={ticket.ticket} guestName={guest.name} ticket={ticket} onEnd={setEnded} />
					{ended && (
						<div className="mt-2 flex flex-wrap items-center gap-3">
							<p role="status" className="text-soft">
								{ended}
							</p>
							<Button small pending={open.isPending} onClick={() => open.mutate({ guestId: guest.id })}>
								Connect again
							</Button>
						</div>
					)}
				</>
			) : (
				<div className="flex flex-wrap items-center justify-between gap-3">
					<p className="text-soft">What the guest writes on its serial line, with a keyboard to answer.</p>
					<Button disabledReason={refusal} pending={open.isPending} onClick={() => open.mutate({ guestId: guest.id })}>
						Open the console
					</Button>
				</div>
			)}
			{open.error && (
				<div className="mt-3">
					<ProblemNotice error={open.error} />
				</div>
			)}
		</Panel>
	);
}
