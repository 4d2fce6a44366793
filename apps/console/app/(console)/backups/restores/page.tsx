"use client";
import { GuestId } from "@sterna/shared/ids";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { restoreColumns } from "../../../../components/backups/restore-columns.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { useLive } from "../../../../components/live.tsx";
import { ProblemNotice } from "../../../../components/problem.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { QueryTable } from "../../../../table/query-table.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { buttonClass } from "../../../../ui/button-class.ts";
import { Empty } from "../../../../ui/empty.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Select } from "../../../../ui/select.tsx";

const pageSize = 50;
const sorts = ["startedAt", "guest", "state"] as const;
const states = ["running", "waiting", "undoing", "completed", "failed", "cancelled"] as const;
const kinds = [
	{ value: "any", label: "Any kind" },
	{ value: "restores", label: "Restores" },
	{ value: "drills", label: "Drills" },
] as const;

/** What was brought back, what was proved, and how long that took. */
export default function RestoresPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, "descending");
	const state = states.find((one) => one === url.param("state"));
	const kind = kinds.find(({ value }) => value === url.param("kind"))?.value ?? "any";
	const guestId = GuestId.safeParse(url.param("guest")).data;
	const restores = useQuery(
		trpc.restores.list.queryOptions(
			{
				page: url.page,
				pageSize,
				sort: url.sort,
				direction: url.direction,
				filter: url.filter,
				...(state ? { state: [state] } : {}),
				...(kind === "drills" ? { mode: ["drill"] } : kind === "restores" ? { mode: ["copy", "instant"] } : {}),
				...(guestId ? { guestId } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["restores"]);
	return (
		<>
			<title>Restores and drills · Sterna</title>
			<Headline
				title="Restores and drills"
				lead="What was brought back, what was proved by booting it, and how long that took."
			/>
			<BackupSection />
			{restores.error && <ProblemNotice error={restores.error} onRetry={() => void restores.refetch()} />}
			<QueryTable
				caption="Restores and drills"
				columns={restoreColumns}
				url={url}
				rows={restores.data?.rows}
				total={restores.data?.total ?? 0}
				pageSize={pageSize}
				rowId={(restore) => restore.id}
				rowName={(restore) => restore.guest.name}
				filterLabel="Filter by guest"
				filters={
					<>
						<Select
							label="Kind"
							value={kind}
							choices={kinds}
							onValue={(value) => url.set({ kind: value === "any" ? "" : value })}
							className="w-32!"
						/>
						<Select
							label="State"
							value={state ?? "any"}
							choices={[{ value: "any", label: "Any state" }, ...states.map((one) => ({ value: one, label: one }))]}
							onValue={(value) => url.set({ state: value === "any" ? "" : value })}
							className="w-36!"
						/>
						{guestId && (
							<button type="button" className={buttonClass("quiet", true)} onClick={() => url.set({ guest: "" })}>
								<X aria-hidden className="size-4" />
								One guest only
							</button>
						)}
					</>
				}
				empty={
					url.filter || state || kind !== "any" || guestId ? (
						<Empty title="Nothing fits the filter.">Take something out of it.</Empty>
					) : (
						<Empty title="Nothing was restored or proved yet.">
							Open a recovery point and choose Restore, or let a job prove its points by drills.
						</Empty>
					)
				}
			/>
		</>
	);
}
