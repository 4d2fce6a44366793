"use client";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ChainCheck } from "../../../components/chain-check.tsx";
import { EventCard } from "../../../components/event-card.tsx";
import { useLive } from "../../../components/live.tsx";
import { ProblemNotice } from "../../../components/problem.tsx";
import { useTRPC, useTRPCClient } from "../../../components/trpc.tsx";
import { FilterInput } from "../../../table/filter-input.tsx";
import { ListFrame } from "../../../table/list-frame.tsx";
import { NothingFits } from "../../../table/nothing-fits.tsx";
import { asChoices, ChoiceFilter, Narrowed } from "../../../table/url-filters.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Button } from "../../../ui/button.tsx";
import { Empty } from "../../../ui/empty.tsx";
import { Headline } from "../../../ui/headline.tsx";
import { SkeletonRows } from "../../../ui/skeleton.tsx";

const sorts = ["sequence"] as const;

/** Who did what, when, why. */
export default function EventsPage() {
	const trpc = useTRPC();
	const client = useTRPCClient();
	const url = useTableUrl(sorts);
	const [objectId, actor, kind] = [url.param("object"), url.param("actor"), url.param("kind")];
	const linked = Number.parseInt(url.param("event"), 10);
	const facets = useQuery(trpc.events.facets.queryOptions(undefined, { staleTime: 60_000 }));
	const wanted = {
		filter: url.filter,
		limit: 50,
		...(objectId ? { objectId } : {}),
		...(actor ? { actor } : {}),
		...(kind ? { kind } : {}),
	};
	const events = useInfiniteQuery({
		queryKey: [...trpc.events.list.pathKey(), "pages", wanted],
		queryFn: ({ pageParam, signal }) =>
			client.events.list.query(pageParam === null ? wanted : { ...wanted, before: pageParam }, { signal }),
		initialPageParam: null as number | null,
		getNextPageParam: (last) => last.nextBefore,
		placeholderData: keepPreviousData,
		enabled: !(linked > 0),
	});
	useLive(["events"]);
	const rows = events.data?.pages.flatMap((page) => page.rows) ?? [];
	const objectName = rows.flatMap((event) => event.objects).find((object) => object.id === objectId)?.name;
	return (
		<>
			<title>Events · Sterna</title>
			<Headline
				title="Events"
				lead="Who did what, when, and why. The log only grows; each entry seals the one before."
				actions={<ChainCheck />}
			/>
			{linked > 0 ? (
				<LinkedEvent sequence={linked} onAll={() => url.set({ event: "" })} />
			) : (
				<ListFrame
					url={url}
					toolbar={
						<>
							<FilterInput label="Filter by words" value={url.filter} onValue={(filter) => url.set({ filter })} />
							<ChoiceFilter
								url={url}
								name="actor"
								label="Actor"
								any="Anyone"
								choices={choicesOf(facets.data?.actors, actor)}
								className="w-44!"
							/>
							<ChoiceFilter
								url={url}
								name="kind"
								label="Kind"
								any="Any kind"
								choices={choicesOf(facets.data?.kinds, kind)}
								className="w-52!"
							/>
							{objectId && (
								<Narrowed url={url} names={["object"]}>
									{objectName ? `Only ${objectName}` : "One object only"}
								</Narrowed>
							)}
						</>
					}
				>
					<div className="px-4 py-2 sm:px-[18px]">
						<h2 className="sr-only">Entries</h2>
						{events.error ? (
							<ProblemNotice error={events.error} onRetry={() => void events.refetch()} />
						) : !events.data ? (
							<SkeletonRows count={8} height="h-12" />
						) : rows.length === 0 ? (
							url.narrowed ? (
								<NothingFits url={url} title="No event fits the filter." />
							) : (
								<Empty title="Nothing has happened yet.">Join a server, and its arrival is the first entry.</Empty>
							)
						) : (
							<ol className="rows">
								{rows.map((event) => (
									<li key={event.sequence} className="py-2.5">
										<EventCard event={event} />
									</li>
								))}
							</ol>
						)}
						{events.hasNextPage && (
							<div className="py-2">
								<Button pending={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
									Earlier events
								</Button>
							</div>
						)}
					</div>
				</ListFrame>
			)}
		</>
	);
}

/** What the log knows, and what the URL asks for although the log does not (any more). */
function choicesOf(offered: readonly string[] | undefined, chosen: string) {
	return asChoices([...new Set([...(offered ?? []), ...(chosen ? [chosen] : [])])]);
}

function LinkedEvent({ sequence, onAll }: { sequence: number; onAll: () => void }) {
	const event = useQuery(useTRPC().events.get.queryOptions({ sequence }));
	return (
		<div className="rounded-xl border border-line bg-panel p-4 sm:px-[18px]">
			<h2 className="sr-only">Event {sequence}</h2>
			{event.data && <EventCard event={event.data} open />}
			{event.error && <ProblemNotice error={event.error} />}
			{!event.data && !event.error && <SkeletonRows count={2} />}
			<div className="mt-4 border-t border-line pt-3">
				<Button onClick={onAll}>All events</Button>
			</div>
		</div>
	);
}
