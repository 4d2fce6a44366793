"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { EllipsisVertical, FlaskConical, KeyRound, Trash2 } from "lucide-react";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import type { RepositoryView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { buttonClass } from "../../ui/button-class.ts";
import { Dialog } from "../../ui/dialog.tsx";
import { TextField } from "../../ui/field.tsx";
import { Menu } from "../../ui/menu.tsx";
import { useRoleRefusal } from "../me.tsx";
import { PlanDialog } from "../plan-dialog.tsx";
import { problemOf, toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { keyOf } from "./key-groups.ts";
import { RecoverySheet } from "./recovery-sheet.tsx";
import { useBreakRepository } from "./use-break-repository.ts";

type Asked = "confirmKey" | "replaceKey" | "remove";
const icon = "size-4 shrink-0";
const lockedKey =
	"the bucket is locked: nothing in it can be deleted, so the old key would go on opening the repository";

/** What may be done with a repository; `key` offers only what concerns a key that was never confirmed. */
export function RepositoryActions({ repository, only }: { repository: RepositoryView; only?: "key" }) {
	const roleRefusal = useRoleRefusal("admin");
	const [asked, setAsked] = useState<Asked | null>(null);
	const breaking = useBreakRepository();
	const replaceRefusal = roleRefusal ?? (isKeyLocked(repository) ? lockedKey : null);
	const close = () => setAsked(null);
	return (
		<>
			{only === "key" ? (
				<div className="flex flex-wrap gap-2">
					<Button small kind="primary" disabledReason={roleRefusal} onClick={() => setAsked("confirmKey")}>
						Confirm the key
					</Button>
					<Button small disabledReason={replaceRefusal} onClick={() => setAsked("replaceKey")}>
						Replace the key
					</Button>
				</div>
			) : (
				<>
					{breaking.offered && repository.kind === "directory" && (
						<Button
							kind="danger"
							className="border-dashed!"
							disabledReason={roleRefusal}
							pending={breaking.isPending}
							onClick={() => breaking.damage(repository.id)}
						>
							<FlaskConical aria-hidden className={icon} />
							Damage it (demo)
						</Button>
					)}
					<Menu
						trigger={
							<button type="button" aria-label="More actions" className={buttonClass()}>
								<EllipsisVertical aria-hidden className={icon} />
							</button>
						}
						entries={[
							{
								label: "Replace the recovery key",
								icon: <KeyRound aria-hidden className={icon} />,
								disabledReason: replaceRefusal,
								onSelect: () => setAsked("replaceKey"),
							},
							{
								label: "Forget the repository",
								icon: <Trash2 aria-hidden className={icon} />,
								danger: true,
								disabledReason:
									roleRefusal ?? (repository.jobs.length > 0 ? "jobs use it; delete or change them first" : null),
								onSelect: () => setAsked("remove"),
							},
						]}
					/>
				</>
			)}
			{asked === "confirmKey" && <ConfirmKey repository={repository} onClose={close} />}
			{asked === "replaceKey" && <ReplaceKey repository={repository} onClose={close} />}
			{asked === "remove" && <Forget repository={repository} onClose={close} />}
		</>
	);
}

/** Whether the key stays for ever because the object that it opens cannot be deleted. */
export function isKeyLocked({ lockDays, usage }: Pick<RepositoryView, "lockDays" | "usage">): boolean {
	return (lockDays ?? 0) > 0 || usage?.immutability === "locked";
}

interface ActionProps {
	repository: RepositoryView;
	onClose: () => void;
}

function ConfirmKey({ repository, onClose }: ActionProps) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [typed, setTyped] = useState("");
	const key = keyOf(typed);
	const confirm = useMutation(
		trpc.repositories.confirmKey.mutationOptions({
			onSuccess: () => {
				toast.success(`${repository.name} is ready for jobs`);
				void queryClient.invalidateQueries(trpc.repositories.pathFilter());
				onClose();
			},
		}),
	);
	return (
		<Dialog
			open
			onClose={onClose}
			title={`Confirm the recovery key of ${repository.name}`}
			lead="From the copy that you kept, not from this console."
			actions={
				<>
					<Button onClick={onClose}>Do nothing</Button>
					<Button
						kind="primary"
						disabledReason={key.length >= 8 ? null : "type at least the last eight characters"}
						pending={confirm.isPending}
						onClick={() => confirm.mutate({ id: repository.id, key })}
					>
						I have kept it
					</Button>
				</>
			}
		>
			<TextField
				label="The last eight characters, or the whole key"
				error={confirm.error ? problemOf(confirm.error).message : null}
				value={typed}
				onValue={setTyped}
				className="font-mono"
				autoComplete="off"
				spellCheck={false}
			/>
		</Dialog>
	);
}

function ReplaceKey({ repository, onClose }: ActionProps) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const replace = useMutation(
		trpc.repositories.replaceKey.mutationOptions({
			onSuccess: () => void queryClient.invalidateQueries(trpc.repositories.pathFilter()),
			onError: (error) => toastProblem(`The key of ${repository.name} stays`, error),
		}),
	);
	if (replace.data) {
		return (
			<Dialog open onClose={onClose} wide title="The new recovery key">
				<RecoverySheet repository={repository} recoveryKey={replace.data.recoveryKey} onConfirmed={onClose} />
			</Dialog>
		);
	}
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Replace the recovery key of ${repository.name}`}
			plan={{
				steps: [
					"A new key is made and shown once. The repository opens with it from then on.",
					"The old key opens nothing any more; a copy of it is worthless.",
					"What is stored is not written again, and every point stays.",
				],
				undo: "this cannot be undone; replace the key once more.",
			}}
			confirm="Replace the key"
			danger
			pending={replace.isPending}
			onConfirm={() => replace.mutate({ id: repository.id })}
		/>
	);
}

function Forget({ repository, onClose }: ActionProps) {
	const trpc = useTRPC();
	const router = useRouter();
	const queryClient = useQueryClient();
	const [typed, setTyped] = useState("");
	const remove = useMutation(
		trpc.repositories.remove.mutationOptions({
			onSuccess: () => {
				toast.success(`${repository.name} is forgotten; what it holds is still there`);
				void queryClient.invalidateQueries(trpc.repositories.list.pathFilter());
				router.push("/backups/repositories");
			},
			onError: (error) => toastProblem(`${repository.name} stays`, error),
		}),
	);
	return (
		<PlanDialog
			open
			onClose={onClose}
			title={`Forget ${repository.name}`}
			plan={{
				steps: [
					"This console forgets the repository, its key and its points. Nothing in the place is deleted.",
					"Guests that have points only there are called unprotected.",
				],
				undo: "open it again with its recovery key; without the key nobody can.",
			}}
			confirm="Forget it"
			danger
			confirmRefusal={typed === repository.name ? null : `type ${repository.name} to confirm`}
			pending={remove.isPending}
			onConfirm={() => remove.mutate({ id: repository.id, name: typed })}
		>
			<TextField
				label={`Type ${repository.name} to confirm`}
				value={typed}
				onValue={setTyped}
				autoComplete="off"
				spellCheck={false}
			/>
		</PlanDialog>
	);
}
