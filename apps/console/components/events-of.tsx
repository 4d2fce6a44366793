"use client";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { Panel } from "../ui/panel.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { EventList } from "./event-list.tsx";
import { useLive } from "./live.tsx";
import { Answer } from "./page-state.tsx";
import { useTRPC } from "./trpc.tsx";

/** The latest events of one object. */
export function EventsOf({ objectId, limit = 10 }: { objectId: string; limit?: number }) {
	const events = useQuery(useTRPC().events.list.queryOptions({ objectId, limit }));
	useLive(["events"]);
	return (
		<Panel
			title="Events"
			aside={
				<Link href={`/events?object=${objectId}`} className="text-sm font-medium text-accent hover:underline">
					All of them
				</Link>
			}
		>
			<Answer of={events} waiting={<SkeletonRows count={4} height="h-8" />}>
				{(data) => <EventList events={data.rows} />}
			</Answer>
		</Panel>
	);
}
