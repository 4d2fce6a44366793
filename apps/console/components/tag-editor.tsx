"use client";
import { Tag } from "@sterna/backup/job";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { useState } from "react";
import type { GuestRef } from "../server/views.ts";
import { Button } from "../ui/button.tsx";
import { TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { useRoleRefusal } from "./me.tsx";
import { toastProblem } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

const maxTags = 20;

/** The words by which jobs choose this guest. */
export function TagEditor({ guest, tags }: { guest: GuestRef; tags: readonly string[] }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("admin");
	const [text, setText] = useState("");
	const wish = Tag.safeParse(text.trim());
	const save = useMutation(
		trpc.guests.setTags.mutationOptions({
			onSuccess: () => {
				void queryClient.invalidateQueries(trpc.guests.pathFilter());
				void queryClient.invalidateQueries(trpc.protection.pathFilter());
			},
			onError: (error) => toastProblem(`The tags of ${guest.name} stay as they were`, error),
		}),
	);
	const error = text.trim() === "" ? null : wish.success ? null : (wish.error.issues[0]?.message ?? "not a tag");
	const reason =
		roleRefusal ??
		(text.trim() === "" ? "write a tag first" : null) ??
		error ??
		(wish.success && tags.includes(wish.data) ? "it has this tag already" : null) ??
		(tags.length >= maxTags ? `a guest has at most ${maxTags} tags` : null);
	return (
		<Panel title="Tags">
			{tags.length === 0 ? (
				<p className="text-soft">None. Jobs can choose guests by tags.</p>
			) : (
				<ul aria-label="Tags" className="flex flex-wrap gap-1.5">
					{tags.map((tag) => (
						<li
							key={tag}
							className="inline-flex min-h-8 items-center gap-1 rounded-full border border-line-strong pl-3 pr-1"
						>
							{tag}
							<Button
								kind="quiet"
								small
								className="min-h-7! rounded-full! px-1.5!"
								aria-label={`Take the tag ${tag} away`}
								disabledReason={roleRefusal}
								pending={save.isPending}
								onClick={() => save.mutate({ id: guest.id, tags: tags.filter((one) => one !== tag) })}
							>
								<X aria-hidden className="size-3.5" />
							</Button>
						</li>
					))}
				</ul>
			)}
			<form
				className="mt-3 flex items-start gap-2"
				onSubmit={(event) => {
					event.preventDefault();
					if (reason || !wish.success || save.isPending) return;
					save.mutate({ id: guest.id, tags: [...tags, wish.data] });
					setText("");
				}}
			>
				<TextField
					label="New tag"
					error={error}
					value={text}
					onValue={setText}
					maxLength={40}
					fieldClassName="flex-1"
					autoComplete="off"
					spellCheck={false}
				/>
				<Button type="submit" className="mt-[22px]" disabledReason={reason} pending={save.isPending}>
					<Plus aria-hidden className="size-4" />
					Add
				</Button>
			</form>
		</Panel>
	);
}
