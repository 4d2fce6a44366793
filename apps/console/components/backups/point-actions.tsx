"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { EllipsisVertical, FolderOpen, History, LockKeyhole, LockKeyholeOpen, ShieldCheck, Trash2 } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";
import type { PointRow } from "../../server/views-backups.ts";
import { buttonClass } from "../../ui/button-class.ts";
import { TextField } from "../../ui/field.tsx";
import { Menu } from "../../ui/menu.tsx";
import { DayTime } from "../../ui/time.tsx";
import { ActionLink } from "../action-link.tsx";
import { useRoleRefusal } from "../me.tsx";
import { PlanDialog } from "../plan-dialog.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { DrillDialog } from "./drill-dialog.tsx";

type Asked = "protect" | "unprotect" | "remove" | "drill";
const icon = "size-4 shrink-0";

/** What may be done with a point: bring it back, look into it, prove it, protect it, remove it. */
export function PointActions({ point, small = false }: { point: PointRow; small?: boolean }) {
	const operator = useRoleRefusal("operator");
	const admin = useRoleRefusal("admin");
	const [asked, setAsked] = useState<Asked | null>(null);
	const noDisk = point.volumes.length === 0 ? "it has no disk" : null;
	return (
		<>
			<ActionLink
				href={`/backups/points/${point.id}/restore`}
				least="operator"
				kind={small ? "secondary" : "primary"}
				small={small}
			>
				<History aria-hidden className={icon} />
				Restore
			</ActionLink>
			<ActionLink href={`/backups/points/${point.id}/files`} least="operator" small={small}>
				<FolderOpen aria-hidden className={icon} />
				Browse files
			</ActionLink>
			<Menu
				trigger={
					<button type="button" aria-label="More actions for the point" className={buttonClass("secondary", small)}>
						<EllipsisVertical aria-hidden className={icon} />
					</button>
				}
				entries={[
					{
						label: "Prove by a drill",
						icon: <ShieldCheck aria-hidden className={icon} />,
						disabledReason: operator ?? noDisk,
						onSelect: () => setAsked("drill"),
					},
					point.protectedBy
						? {
								label: "Give up protection",
								icon: <LockKeyholeOpen aria-hidden className={icon} />,
								disabledReason: admin,
								onSelect: () => setAsked("unprotect"),
							}
						: {
								label: "Protect",
								icon: <LockKeyhole aria-hidden className={icon} />,
								disabledReason: admin,
								onSelect: () => setAsked("protect"),
							},
					{
						label: "Remove",
						icon: <Trash2 aria-hidden className={icon} />,
						danger: true,
						disabledReason: admin ?? (point.protectedBy ? "it is protected; give that up first" : null),
						onSelect: () => setAsked("remove"),
					},
				]}
			/>
			{asked === "drill" && (
				<DrillDialog
					guest={point.guest}
					point={{ id: point.id, takenAt: point.takenAt }}
					onClose={() => setAsked(null)}
				/>
			)}
			{asked && asked !== "drill" && <KeepDialog point={point} action={asked} onClose={() => setAsked(null)} />}
		</>
	);
}

interface KeepDialogProps {
	point: PointRow;
	action: "protect" | "unprotect" | "remove";
	onClose: () => void;
}

function KeepDialog({ point, action, onClose }: KeepDialogProps) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [reason, setReason] = useState("");
	const options = {
		onSuccess: () => {
			toast.success(`The point of ${point.guest.name} ${outcome[action]}`);
			void queryClient.invalidateQueries(trpc.points.pathFilter());
			void queryClient.invalidateQueries(trpc.protection.pathFilter());
			onClose();
		},
		onError: (error: unknown) => toastProblem(`The point of ${point.guest.name} stays as it is`, error),
	};
	const protect = useMutation(trpc.points.protect.mutationOptions(options));
	const unprotect = useMutation(trpc.points.unprotect.mutationOptions(options));
	const remove = useMutation(trpc.points.remove.mutationOptions(options));
	const { title, plan } = words[action];
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`${title} of ${point.guest.name}`}
			lead={
				<>
					The one of <DayTime at={point.takenAt} />, in {point.repository.name}.
				</>
			}
			plan={plan}
			confirm={title.split(" ")[0] ?? title}
			danger={action === "remove"}
			confirmRefusal={action === "protect" && reason.trim() === "" ? "say why it is protected" : null}
			pending={protect.isPending || unprotect.isPending || remove.isPending}
			onConfirm={() => {
				if (action === "protect") protect.mutate({ id: point.id, reason: reason.trim() });
				else if (action === "unprotect") unprotect.mutate({ id: point.id });
				else remove.mutate({ ids: [point.id] });
			}}
		>
			{action === "protect" && (
				<TextField
					label="Why"
					hint="Who reads it later should know what it is kept for."
					value={reason}
					onValue={setReason}
					maxLength={500}
					autoComplete="off"
				/>
			)}
		</PlanDialog>
	);
}

const outcome = { protect: "is protected", unprotect: "is not protected any more", remove: "was removed" };

const words = {
	protect: {
		title: "Protect a point",
		plan: {
			steps: ["The point stays, whatever the retention says, until somebody gives the protection up."],
			undo: "give the protection up on the same menu.",
		},
	},
	unprotect: {
		title: "Release a point",
		plan: {
			steps: ["The retention of its job decides again; it may remove the point at its next round."],
			undo: "protect it again before that.",
		},
	},
	remove: {
		title: "Remove a point",
		plan: {
			steps: [
				"The point cannot be restored from this moment on.",
				"The next collection frees what no other point needs. Other points are not touched.",
			],
			undo: "this cannot be undone.",
		},
	},
};
