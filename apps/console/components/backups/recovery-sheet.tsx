"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Printer } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";
import { Button } from "../../ui/button.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { TextField } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";
import { Panel } from "../../ui/panel.tsx";
import { problemOf, toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { groupsOf, keyOf } from "./key-groups.ts";

interface RecoverySheetProps {
	repository: { id: string; name: string };
	recoveryKey: string;
	onConfirmed: () => void;
}

/** The recovery key, shown this once: to print or copy, and to confirm by typing its end back. Jobs wait for that. */
export function RecoverySheet({ repository, recoveryKey, onConfirmed }: RecoverySheetProps) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [typed, setTyped] = useState("");
	const { prefix, groups } = groupsOf(recoveryKey);
	const confirm = useMutation(
		trpc.repositories.confirmKey.mutationOptions({
			onSuccess: () => {
				toast.success(`${repository.name} is ready`);
				void queryClient.invalidateQueries(trpc.repositories.pathFilter());
				onConfirmed();
			},
			onError: (error) => {
				if (problemOf(error).code !== "invalid") toastProblem("The key was not confirmed", error);
			},
		}),
	);
	const wrong = confirm.error && problemOf(confirm.error).code === "invalid" ? problemOf(confirm.error).message : null;
	const ready = keyOf(typed).length >= 8;
	return (
		<div className="max-w-[760px]">
			<Panel title={`Recovery key of ${repository.name}`} className="print-sheet">
				<Notice
					tone="warn"
					title="This is shown once. Without it, nobody can open the backups when this console is lost."
				>
					<p className="text-soft">
						Print it, or write it down, and keep it away from these servers. It opens everything in the repository.
					</p>
				</Notice>
				<div className="my-4 rounded-lg border border-line-strong bg-sunken px-4 py-3 font-mono">
					<span className="sr-only">Recovery key: {recoveryKey}</span>
					<div aria-hidden className="text-soft">
						{prefix}
					</div>
					<ol
						aria-hidden
						className="mt-1 grid grid-cols-2 gap-x-6 gap-y-1 text-[1.0625rem] tracking-wide sm:grid-cols-4"
					>
						{groups.map((group, index) => (
							<li key={`${index}${group}`} className="whitespace-nowrap">
								<span className="mr-2 text-sm text-faint">{index + 1}</span>
								{group}
							</li>
						))}
					</ol>
				</div>
				<dl className="grid gap-x-4 gap-y-1 text-sm sm:grid-cols-[auto_1fr]">
					<dt className="text-soft">Repository</dt>
					<dd className="font-mono wrap-anywhere">
						{repository.name}, {repository.id}
					</dd>
					<dt className="text-soft">To restore without this console</dt>
					<dd className="font-mono wrap-anywhere">sterna-restore list --help</dd>
				</dl>
				<div className="mt-4 flex flex-wrap gap-2 print:hidden">
					<Button onClick={() => window.print()}>
						<Printer aria-hidden className="size-4" />
						Print
					</Button>
					<CopyButton text={recoveryKey} label="Copy the key" />
				</div>
				<form
					className="mt-5 flex flex-wrap items-start gap-3 border-t border-line pt-4 print:hidden"
					onSubmit={(event) => {
						event.preventDefault();
						if (ready && !confirm.isPending) confirm.mutate({ id: repository.id, key: keyOf(typed) });
					}}
				>
					<TextField
						label="Type the last eight characters from your copy"
						hint="Jobs may use the repository once this is right."
						error={wrong}
						value={typed}
						onValue={setTyped}
						className="font-mono"
						fieldClassName="flex-1 basis-64"
						autoComplete="off"
						spellCheck={false}
					/>
					<Button
						type="submit"
						kind="primary"
						className="sm:mt-[22px]"
						disabledReason={ready ? null : "type the last eight characters first"}
						pending={confirm.isPending}
					>
						I have kept it
					</Button>
				</form>
			</Panel>
		</div>
	);
}
