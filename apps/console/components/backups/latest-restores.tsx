"use client";
import { formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import type { Inputs } from "../../server/root.ts";
import type { RestoreRow } from "../../server/views-backups.ts";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { useLive } from "../live.tsx";
import { Answer } from "../page-state.tsx";
import { useTRPC } from "../trpc.tsx";
import { ModeChip, RestoreStateChip } from "./chips.tsx";

/** The latest restores and drills of a point or a guest. */
export function LatestRestores({ of }: { of: Pick<Inputs["restores"]["list"], "guestId" | "pointId"> }) {
	const restores = useQuery(useTRPC().restores.list.queryOptions({ ...of, pageSize: 8 }));
	useLive(["restores"]);
	return (
		<Panel title="Restores and drills">
			<Answer of={restores}>
				{({ rows }) =>
					rows.length === 0 ? (
						<p className="text-soft">Never restored, never proved.</p>
					) : (
						<ul className="rows">
							{rows.map((restore) => (
								<li
									key={restore.id}
									className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1 py-2.5 first:pt-0 last:pb-0"
								>
									<span className="flex min-w-0 flex-wrap items-center gap-2">
										<Link href={`/backups/restores/${restore.id}`} className="font-medium hover:underline">
											<DayTime at={restore.startedAt} />
										</Link>
										<ModeChip mode={restore.mode} />
										<RestoreStateChip state={restore.state} />
									</span>
									<span className="text-sm text-soft">{measured(restore)}</span>
								</li>
							))}
						</ul>
					)
				}
			</Answer>
		</Panel>
	);
}

/** What a restore measured, in a few words. */
function measured({ bootedAfterMs, provedAfterMs, target, mode, errorMessage }: RestoreRow): string {
	if (errorMessage) return errorMessage;
	if (provedAfterMs !== null) return `worked after ${formatDuration(provedAfterMs)}`;
	if (bootedAfterMs !== null) return `ran after ${formatDuration(bootedAfterMs)}`;
	return mode === "drill" ? "" : `to ${target.name}`;
}
