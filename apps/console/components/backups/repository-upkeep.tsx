"use client";
import type { UpkeepKind } from "@sterna/shared/backup";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CalendarClock } from "lucide-react";
import { useState } from "react";
import { toast } from "sonner";
import type { RepositoryView } from "../../server/views-backups.ts";
import { Button } from "../../ui/button.tsx";
import { Chip } from "../../ui/chip.tsx";
import { Progress } from "../../ui/meter.tsx";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { useRoleRefusal } from "../me.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { amountOf, statement } from "../words.ts";
import { ScrubDialog } from "./scrub-dialog.tsx";
import { restoreTone, upkeepWords } from "./words.ts";

const kinds: readonly UpkeepKind[] = ["scrub", "collect", "canary"];

/** What keeps the repository well: each kind of upkeep, its last rounds, and a way to begin one now. */
export function RepositoryUpkeep({ repository }: { repository: RepositoryView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const roleRefusal = useRoleRefusal("admin");
	const [scheduling, setScheduling] = useState(false);
	const begin = useMutation(
		trpc.repositories.upkeep.mutationOptions({
			onSuccess: (_, { kind }) => {
				toast.success(`${upkeepWords[kind].name} of ${repository.name} began`);
				void queryClient.invalidateQueries(trpc.repositories.pathFilter());
			},
			onError: (error, { kind }) => toastProblem(`${upkeepWords[kind].name} did not begin`, error),
		}),
	);
	const busy = new Set(repository.upkeeps.filter(({ endedAt }) => endedAt === null).map(({ kind }) => kind));
	return (
		<Panel
			title="Upkeep"
			aside={
				<Button small disabledReason={roleRefusal} onClick={() => setScheduling(true)}>
					<CalendarClock aria-hidden className="size-4" />
					Scrub schedule
				</Button>
			}
		>
			<ul className="grid gap-2 md:grid-cols-3">
				{kinds.map((kind) => (
					<li key={kind} className="flex flex-col gap-2 rounded-lg bg-sunken p-3">
						<p className="font-medium">{upkeepWords[kind].name}</p>
						<p className="flex-1 text-sm text-soft">{upkeepWords[kind].what}</p>
						<Button
							small
							className="self-start"
							disabledReason={roleRefusal ?? (busy.has(kind) ? "it is under way" : null)}
							pending={begin.isPending && begin.variables.kind === kind}
							onClick={() => begin.mutate({ id: repository.id, kind })}
						>
							{upkeepWords[kind].run}
						</Button>
					</li>
				))}
			</ul>
			<h3 className="mt-4 mb-1 text-sm font-semibold text-soft">Last rounds</h3>
			{repository.upkeeps.length === 0 ? (
				<p className="text-soft">None yet.</p>
			) : (
				<ul className="rows">
					{repository.upkeeps.slice(0, 8).map((round) => (
						<li key={round.upkeepId} className="py-2">
							<div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
								<span className="flex flex-wrap items-center gap-2">
									<span className="font-medium">{upkeepWords[round.kind].name}</span>
									<Chip tone={round.damages.length > 0 ? "bad" : restoreTone[round.state]}>
										{round.damages.length > 0 ? "damage found" : round.state}
									</Chip>
								</span>
								<span className="text-sm text-soft">
									<DayTime at={round.startedAt} /> on {round.host.name}
									{round.endedAt !== null && `, ${formatDuration(round.endedAt - round.startedAt)}`}
									{round.freedBytes > 0 && `, ${formatBytes(round.freedBytes)} freed`}
								</span>
							</div>
							{round.endedAt === null && (
								<div className="mt-1.5">
									<Progress
										label={upkeepWords[round.kind].name}
										share={round.totalBytes === 0 ? 0 : round.doneBytes / round.totalBytes}
									/>
									<p className="mt-0.5 text-sm text-soft">{amountOf(round.doneBytes, round.totalBytes)}</p>
								</div>
							)}
							{(round.error?.message ?? round.result) && (
								<p className="text-sm text-soft wrap-anywhere">
									{statement(round.error?.message ?? round.result ?? "")}
								</p>
							)}
						</li>
					))}
				</ul>
			)}
			{scheduling && <ScrubDialog repository={repository} onClose={() => setScheduling(false)} />}
		</Panel>
	);
}
