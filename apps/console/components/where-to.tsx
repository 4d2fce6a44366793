"use client";
import { formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { GuestView } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { Chip } from "../ui/chip.tsx";
import { Panel } from "../ui/panel.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { useRoleRefusal } from "./me.tsx";
import { MigrateDialog } from "./migrate-dialog.tsx";
import { Answer } from "./page-state.tsx";
import { Refusals } from "./refusals.tsx";
import { useTRPC } from "./trpc.tsx";

/** Where the guest could move now, and why not elsewhere. */
export function WhereTo({ guest }: { guest: GuestView }) {
	const roleRefusal = useRoleRefusal("operator");
	const movable = guest.state === "running" && guest.hostOnline && guest.moving === null;
	return (
		<Panel title="Where it could move now">
			{roleRefusal ? (
				<p className="text-soft">Asking the hosts {roleRefusal.replace("this needs", "needs")}.</p>
			) : movable ? (
				<Targets guest={guest} />
			) : (
				<p className="text-soft">
					{guest.moving
						? `It is on its way to ${guest.moving.target.name}.`
						: guest.hostOnline
							? `It is ${guest.state}; only a running guest moves without stopping.`
							: `${guest.host.name} is out of reach.`}
				</p>
			)}
		</Panel>
	);
}

function Targets({ guest }: { guest: GuestView }) {
	const [target, setTarget] = useState<string | null>(null);
	const plans = useQuery(useTRPC().guests.planMigration.queryOptions({ guestId: guest.id }, { staleTime: 30_000 }));
	return (
		<Answer of={plans} waiting={<SkeletonRows count={2} />}>
			{({ candidates, notAsked }) =>
				candidates.length === 0 ? (
					<p className="text-soft">There is no other host. Join a second server to move guests.</p>
				) : (
					<>
						<ul className="rows">
							{candidates.map(({ target: host, chosen, plan, refusals }) => {
								const all = [...refusals, ...(plan?.refusals ?? [])];
								return (
									<li key={host.id} className="py-2.5 first:pt-0 last:pb-0">
										<div className="flex items-center justify-between gap-3">
											<span className="flex flex-wrap items-center gap-2">
												<b>{host.name}</b>
												{chosen && <Chip tone="ok">proposed</Chip>}
											</span>
											<Button
												small
												aria-label={`Migrate to ${host.name}`}
												disabledReason={all[0]?.message ?? null}
												onClick={() => setTarget(host.id)}
											>
												Migrate
											</Button>
										</div>
										{all.length > 0 ? (
											<div className="mt-1.5">
												<Refusals refusals={all} />
											</div>
										) : (
											plan && (
												<p className="text-sm text-soft">
													{plan.predictedDurationMs === null
														? "duration not known"
														: `about ${formatDuration(plan.predictedDurationMs)}`}
													{plan.predictedDowntimeMs !== null &&
														`, paused about ${formatDuration(plan.predictedDowntimeMs)}`}
												</p>
											)
										)}
									</li>
								);
							})}
						</ul>
						{notAsked > 0 && (
							<p className="mt-2 text-sm text-soft">
								{notAsked} more hosts were not asked; Migrate finds them by their names.
							</p>
						)}
						{target && <MigrateDialog guest={guest} targetHostId={target} onClose={() => setTarget(null)} />}
					</>
				)
			}
		</Answer>
	);
}
