"use client";
import { useQuery } from "@tanstack/react-query";
import type { RestoreRow } from "../../server/views-backups.ts";
import { Panel } from "../../ui/panel.tsx";
import { useRoleRefusal } from "../me.tsx";
import { Answer } from "../page-state.tsx";
import { useTRPC } from "../trpc.tsx";

/** What the guest showed on its screen when the drill ended. */
export function DrillScreen({ restore }: { restore: RestoreRow }) {
	const refusal = useRoleRefusal("operator");
	const picture = useQuery(
		useTRPC().restores.screenshot.queryOptions(
			{ id: restore.id },
			{ enabled: refusal === null, staleTime: Number.POSITIVE_INFINITY, retry: false },
		),
	);
	return (
		<Panel title="Its screen">
			{refusal ? (
				<p className="text-soft">The picture may show what the guest shows; {refusal}.</p>
			) : (
				<Answer of={picture} waiting={<div className="aspect-video rounded-lg bg-sunken" />}>
					{({ png }) => (
						<img
							src={`data:image/png;base64,${png}`}
							alt={`Screen of ${restore.guest.name} at the end of the drill`}
							className="max-h-[480px] max-w-full rounded-lg border border-line bg-sunken"
						/>
					)}
				</Answer>
			)}
		</Panel>
	);
}
