"use client";
import { BackupJobId, GuestId } from "@sterna/shared/ids";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { runColumns } from "../../../../components/backups/run-columns.tsx";
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
const sorts = ["dueAt", "guest", "state"] as const;
const states = ["scheduled", "running", "waiting", "undoing", "completed", "failed", "cancelled", "missed"] as const;

/** What is being backed up, and what was. */
export default function RunsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, "descending");
	const state = states.find((one) => one === url.param("state"));
	const guestId = GuestId.safeParse(url.param("guest")).data;
	const jobId = BackupJobId.safeParse(url.param("job")).data;
	const runs = useQuery(
		trpc.runs.list.queryOptions(
			{
				page: url.page,
				pageSize,
				sort: url.sort,
				direction: url.direction,
				filter: url.filter,
				...(state ? { state: [state] } : {}),
				...(guestId ? { guestId } : {}),
				...(jobId ? { jobId } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["runs"]);
	const narrowed = guestId ? "One guest only" : jobId ? "One job only" : null;
	return (
		<>
			<title>Backup runs · Sterna</title>
			<Headline
				title="Backup runs"
				lead="What is being backed up, what waits for its turn, and what became of the rest."
			/>
			<BackupSection />
			{runs.error && <ProblemNotice error={runs.error} onRetry={() => void runs.refetch()} />}
			<QueryTable
				caption="Backup runs"
				columns={runColumns}
				url={url}
				rows={runs.data?.rows}
				total={runs.data?.total ?? 0}
				pageSize={pageSize}
				rowId={(run) => run.pointId}
				rowName={(run) => run.guest.name}
				filterLabel="Filter by guest"
				filters={
					<>
						<Select
							label="State"
							value={state ?? "any"}
							choices={[{ value: "any", label: "Any state" }, ...states.map((one) => ({ value: one, label: one }))]}
							onValue={(value) => url.set({ state: value === "any" ? "" : value })}
							className="w-36!"
						/>
						{narrowed && (
							<button
								type="button"
								className={buttonClass("quiet", true)}
								onClick={() => url.set({ guest: "", job: "" })}
							>
								<X aria-hidden className="size-4" />
								{narrowed}
							</button>
						)}
					</>
				}
				empty={
					url.filter || state || narrowed ? (
						<Empty title="No run fits the filter.">Take something out of it.</Empty>
					) : (
						<Empty title="Nothing has been backed up yet.">
							Open a guest and choose Back up now, or create a job that does it on a schedule.
						</Empty>
					)
				}
			/>
		</>
	);
}
