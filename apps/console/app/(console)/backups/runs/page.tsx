"use client";
import { BackupJobId, GuestId, RepositoryId } from "@sterna/shared/ids";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { runColumns } from "../../../../components/backups/run-columns.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { useLive } from "../../../../components/live.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { ListPage } from "../../../../table/list-page.tsx";
import { asChoices, ChoiceFilter, Narrowed } from "../../../../table/url-filters.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { Empty } from "../../../../ui/empty.tsx";

const sorts = ["dueAt", "guest", "state"] as const;
const states = ["scheduled", "running", "waiting", "undoing", "completed", "failed", "cancelled", "missed"] as const;

/** What is being backed up, and what was. */
export default function RunsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, { defaultDirection: "descending" });
	const state = states.find((one) => one === url.param("state"));
	const guestId = GuestId.safeParse(url.param("guest")).data;
	const jobId = BackupJobId.safeParse(url.param("job")).data;
	const repositoryId = RepositoryId.safeParse(url.param("repository")).data;
	const runs = useQuery(
		trpc.runs.list.queryOptions(
			{
				...url.request,
				...(state ? { state: [state] } : {}),
				...(guestId ? { guestId } : {}),
				...(jobId ? { jobId } : {}),
				...(repositoryId ? { repositoryId } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["runs"]);
	const narrowed = guestId ? "One guest only" : jobId ? "One job only" : repositoryId ? "One repository only" : null;
	return (
		<ListPage
			title="Backup runs"
			lead="What is being backed up, what waits for its turn, and what became of the rest."
			query={runs}
			columns={runColumns}
			url={url}
			rowId={(run) => run.pointId}
			rowName={(run) => run.guest.name}
			filterLabel="Filter by guest"
			filters={
				<>
					<ChoiceFilter url={url} name="state" label="State" any="Any state" choices={asChoices(states)} />
					{narrowed && (
						<Narrowed url={url} names={["guest", "job", "repository"]}>
							{narrowed}
						</Narrowed>
					)}
				</>
			}
			nothingFits="No run fits the filter."
			empty={
				<Empty title="Nothing has been backed up yet.">
					Open a guest and choose Back up now, or create a job that does it on a schedule.
				</Empty>
			}
		>
			<BackupSection />
		</ListPage>
	);
}
