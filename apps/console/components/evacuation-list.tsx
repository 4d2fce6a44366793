"use client";
import { formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { Chip } from "../ui/chip.tsx";
import { Panel } from "../ui/panel.tsx";
import { Time } from "../ui/time.tsx";
import { useLive } from "./live.tsx";
import { useTRPC } from "./trpc.tsx";
import { evacuationStateTone } from "./words.ts";

/** The latest evacuations; nothing while there has been none. */
export function EvacuationList() {
	const evacuations = useQuery(useTRPC().evacuations.list.queryOptions({ pageSize: 5 }));
	useLive(["evacuations"]);
	const rows = evacuations.data?.rows ?? [];
	if (rows.length === 0) return null;
	return (
		<Panel title="Evacuations" className="mb-[18px]">
			<ul className="rows">
				{rows.map((evacuation) => (
					<li
						key={evacuation.id}
						className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1 py-2 first:pt-0 last:pb-0"
					>
						<span className="flex min-w-0 flex-wrap items-center gap-2">
							<Link href={`/evacuations/${evacuation.id}`} className="font-medium hover:underline">
								{evacuation.host.name}
							</Link>
							<Chip tone={evacuationStateTone[evacuation.state]}>{evacuation.state}</Chip>
							<span className="text-sm text-soft wrap-anywhere">{evacuation.reason}</span>
						</span>
						<span className="text-sm text-soft">
							{evacuation.moved} of {evacuation.total} moved ·{" "}
							{evacuation.endedAt === null ? (
								<>
									since <Time at={evacuation.startedAt} />
								</>
							) : (
								`took ${formatDuration(evacuation.endedAt - evacuation.startedAt)}`
							)}
						</span>
					</li>
				))}
			</ul>
		</Panel>
	);
}
