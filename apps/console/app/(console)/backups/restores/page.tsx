"use client";
import { GuestId } from "@sterna/shared/ids";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { restoreColumns } from "../../../../components/backups/restore-columns.tsx";
import { BackupSection } from "../../../../components/backups/section.tsx";
import { useLive } from "../../../../components/live.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { ListPage } from "../../../../table/list-page.tsx";
import { asChoices, ChoiceFilter, Narrowed } from "../../../../table/url-filters.tsx";
import { useTableUrl } from "../../../../table/url-state.ts";
import { Empty } from "../../../../ui/empty.tsx";

const sorts = ["startedAt", "guest", "state"] as const;
const states = ["running", "waiting", "undoing", "completed", "failed", "cancelled"] as const;
const kinds = [
	{ value: "restores", label: "Restores" },
	{ value: "drills", label: "Drills" },
] as const;

/** What was brought back, what was proved, and how long that took. */
export default function RestoresPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, { defaultDirection: "descending" });
	const state = states.find((one) => one === url.param("state"));
	const kind = kinds.find(({ value }) => value === url.param("kind"))?.value;
	const guestId = GuestId.safeParse(url.param("guest")).data;
	const restores = useQuery(
		trpc.restores.list.queryOptions(
			{
				...url.request,
				...(state ? { state: [state] } : {}),
				...(kind === "drills" ? { mode: ["drill"] } : kind === "restores" ? { mode: ["copy", "instant"] } : {}),
				...(guestId ? { guestId } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["restores"]);
	return (
		<ListPage
			title="Restores and drills"
			lead="What was brought back, what was proved by booting it, and how long that took."
			query={restores}
			columns={restoreColumns}
			url={url}
			rowId={(restore) => restore.id}
			rowName={(restore) => restore.guest.name}
			filterLabel="Filter by guest"
			filters={
				<>
					<ChoiceFilter url={url} name="kind" label="Kind" any="Any kind" choices={kinds} className="w-32!" />
					<ChoiceFilter url={url} name="state" label="State" any="Any state" choices={asChoices(states)} />
					{guestId && (
						<Narrowed url={url} names={["guest"]}>
							One guest only
						</Narrowed>
					)}
				</>
			}
			nothingFits="No restore or drill fits the filter."
			empty={
				<Empty title="Nothing was restored or proved yet.">
					Open a recovery point and choose Restore, or let a job prove its points by drills.
				</Empty>
			}
		>
			<BackupSection />
		</ListPage>
	);
}
