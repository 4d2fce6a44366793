"use client";
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { GuestRef } from "../../server/views.ts";
import { TextField } from "../../ui/field.tsx";
import { RadioCard } from "../../ui/radio-card.tsx";
import { DayTime } from "../../ui/time.tsx";
import { PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";

interface DrillDialogProps {
	guest: GuestRef;
	/** The guest's newest point without. */
	point?: { id: string; takenAt: number };
	onClose: () => void;
}

/** Boots a point apart from everything, waits for its check, and throws it away: proof that it can be restored. */
export function DrillDialog({ guest, point, onClose }: DrillDialogProps) {
	const trpc = useTRPC();
	const router = useRouter();
	const [kind, setKind] = useState<"guestAgent" | "serialText">("guestAgent");
	const [text, setText] = useState("");
	const drill = useMutation(
		trpc.restores.drill.mutationOptions({
			onSuccess: ({ id }) => {
				toast.success(`The drill of ${guest.name} began`);
				router.push(`/backups/restores/${id}`);
			},
			onError: (error) => toastProblem("The drill did not begin", error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Drill: prove that ${guest.name} can be restored`}
			lead={
				point ? (
					<>
						Its point of <DayTime at={point.takenAt} /> is booted.
					</>
				) : (
					"Its newest point is booted."
				)
			}
			plan={{
				steps: [
					"A host with room boots the point straight from the repository, without any network.",
					"Its check is awaited, a picture of its screen is kept, the time is measured.",
					`It is thrown away; ${guest.name} itself is not touched.`,
				],
				undo: "cancel the drill on its page; nothing stays behind either way.",
			}}
			confirm="Begin the drill"
			confirmRefusal={kind === "serialText" && text.trim() === "" ? "write the text that the guest prints" : null}
			pending={drill.isPending}
			onConfirm={() => {
				const check = kind === "serialText" ? { kind, text: text.trim() } : { kind };
				drill.mutate(point ? { pointId: point.id, check } : { guestId: guest.id, check });
			}}
		>
			<fieldset>
				<legend className="mb-1.5 text-sm font-semibold text-soft">It works when</legend>
				<div className="grid gap-2 sm:grid-cols-2">
					<RadioCard
						name="check"
						checked={kind === "guestAgent"}
						onChoose={() => setKind("guestAgent")}
						title="its guest agent answers"
					/>
					<RadioCard
						name="check"
						checked={kind === "serialText"}
						onChoose={() => setKind("serialText")}
						title="its serial line prints a text"
					/>
				</div>
				{kind === "serialText" && (
					<TextField
						label="Text"
						fieldClassName="mt-3"
						value={text}
						onValue={setText}
						maxLength={200}
						autoComplete="off"
					/>
				)}
			</fieldset>
		</PlanDialog>
	);
}
