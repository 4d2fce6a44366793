"use client";
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { toast } from "sonner";
import { RecoverySheet } from "../components/backups/recovery-sheet.tsx";
import { useRoleRefusal } from "../components/me.tsx";
import { ProblemNotice } from "../components/problem.tsx";
import { useTRPC } from "../components/trpc.tsx";
import type { RepositoryCreated } from "../server/views-backups.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { firstMissing, freshRepository, type RepositoryDraft, wishOf } from "./repository-draft.ts";
import { RepositoryPlaceFields } from "./repository-place.tsx";

export interface RepositoryPart {
	draft: RepositoryDraft;
	set: (patch: Partial<RepositoryDraft>) => void;
	errorOf: (field: keyof RepositoryDraft) => string | null;
}

/** A repository, made or opened. After making one, its recovery key is shown this once and has to be confirmed. */
export function RepositoryForm() {
	const trpc = useTRPC();
	const router = useRouter();
	const roleRefusal = useRoleRefusal("admin");
	const [draft, setDraft] = useState(freshRepository);
	const [asked, setAsked] = useState(false);
	const [created, setCreated] = useState<RepositoryCreated | null>(null);
	const { wish, errors } = wishOf(draft);
	const create = useMutation(
		trpc.repositories.create.mutationOptions({
			onSuccess: setCreated,
		}),
	);
	const attach = useMutation(
		trpc.repositories.attach.mutationOptions({
			onSuccess: ({ id }) => {
				toast.success(`${draft.name} was opened; its points are being listed`);
				router.push(`/backups/repositories/${id}`);
			},
		}),
	);
	if (created) {
		return (
			<RecoverySheet
				repository={{ id: created.id, name: draft.name }}
				recoveryKey={created.recoveryKey}
				onConfirmed={() => router.push(`/backups/repositories/${created.id}`)}
			/>
		);
	}
	const pending = create.isPending || attach.isPending;
	const problem = pending ? null : draft.way === "create" ? create.error : attach.error;
	const part: RepositoryPart = {
		draft,
		set: (patch) => setDraft((before) => ({ ...before, ...patch })),
		errorOf: (field) => (asked || draft[field] !== freshRepository[field] ? (errors[field] ?? null) : null),
	};
	return (
		<form
			noValidate
			className="max-w-[760px]"
			onSubmit={(event) => {
				event.preventDefault();
				setAsked(true);
				if (!wish || roleRefusal || pending) return;
				const { name, place, key } = wish;
				if (key === null) create.mutate({ name, place });
				else attach.mutate({ name, place, key });
			}}
		>
			<Panel title="The repository">
				<div className="flex flex-col gap-4">
					<fieldset>
						<legend className="sr-only">New or there already</legend>
						<div className="grid gap-2 sm:grid-cols-2">
							<RadioCard
								name="way"
								checked={draft.way === "create"}
								onChoose={() => part.set({ way: "create" })}
								title="Make a new one"
							>
								The place has to be empty. You get a recovery key to keep.
							</RadioCard>
							<RadioCard
								name="way"
								checked={draft.way === "attach"}
								onChoose={() => part.set({ way: "attach" })}
								title="Open one that is there"
							>
								With its recovery key. Its points come into this console.
							</RadioCard>
						</div>
					</fieldset>
					<TextField
						label="Name"
						hint="Lower-case letters, digits and hyphens."
						error={part.errorOf("name")}
						value={draft.name}
						onValue={(name) => part.set({ name })}
						autoComplete="off"
						maxLength={63}
						required
					/>
					<RepositoryPlaceFields {...part} />
					{draft.way === "attach" && (
						<TextField
							label="Recovery key"
							hint="Begins with sterna-key-1-. Spaces and capitals do not matter."
							error={part.errorOf("key")}
							value={draft.key}
							onValue={(key) => part.set({ key })}
							className="font-mono text-sm!"
							autoComplete="off"
							spellCheck={false}
						/>
					)}
				</div>
				{problem && <ProblemNotice error={problem} className="mt-4" />}
				<div className="mt-4 flex justify-end gap-2 border-t border-line pt-3">
					<Button onClick={() => router.push("/backups/repositories")}>Do nothing</Button>
					<Button type="submit" kind="primary" disabledReason={roleRefusal ?? firstMissing(errors)} pending={pending}>
						{draft.way === "create" ? "Make the repository" : "Open the repository"}
					</Button>
				</div>
			</Panel>
		</form>
	);
}
