"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { toast } from "sonner";
import { Button } from "../../ui/button.tsx";
import { DayTime } from "../../ui/time.tsx";
import { useRoleRefusal } from "../me.tsx";
import { toastProblem } from "../problem.tsx";
import { useTRPC } from "../trpc.tsx";
import { useBreakRepository } from "./use-break-repository.ts";

const item = "flex flex-col gap-1.5 rounded-lg bg-sunken p-3";

/** Demo only: harm to backups, and a clock that does not make anybody wait for the night. */
export function BreakBackups() {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const refusal = useRoleRefusal("admin");
	const breaking = useBreakRepository();
	const repositories = useQuery(trpc.repositories.list.queryOptions({}));
	const state = useQuery(trpc.demo.state.queryOptions(undefined, { staleTime: 5_000 }));
	const clock = useMutation(
		trpc.demo.skipToNextDue.mutationOptions({
			onSuccess: ({ what }) => {
				toast.success(`For schedules it is later: ${what} is due`);
				void queryClient.invalidateQueries(trpc.demo.pathFilter());
			},
			onError: (error) => toastProblem("The clock stays", error),
		}),
	);
	const repository = repositories.data?.rows.find(({ kind }) => kind === "directory");
	if (!repository) return null;
	const next = state.data?.nextDue ?? null;
	return (
		<>
			<li className={item}>
				<Button
					small
					kind="danger"
					className="self-start"
					disabledReason={refusal}
					pending={breaking.isPending}
					onClick={() => breaking.damage(repository.id)}
				>
					Damage {repository.name}
				</Button>
				<p className="text-sm text-soft">
					Bytes of a stored pack change on the disk: the next scrub names the guest, the next backup heals.
				</p>
			</li>
			<li className={item}>
				<Button
					small
					className="self-start"
					disabledReason={refusal ?? (next ? null : "nothing is due by any schedule")}
					pending={clock.isPending}
					onClick={() => clock.mutate()}
				>
					Jump to the next run
				</Button>
				<p className="text-sm text-soft">
					For schedules only
					{next && (
						<>
							: {next.what}, due <DayTime at={next.at} />, runs now
						</>
					)}
					.
				</p>
			</li>
		</>
	);
}
