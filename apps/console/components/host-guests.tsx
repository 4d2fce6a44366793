"use client";
import { formatBytes, formatPercent } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { Panel } from "../ui/panel.tsx";
import { useLive } from "./live.tsx";
import { Answer } from "./page-state.tsx";
import { AcceleratorBadge, GuestStateChip } from "./states.tsx";
import { useTRPC } from "./trpc.tsx";

const pageSize = 20;

/** The guests of one host, the first twenty; the rest is one link away. */
export function HostGuests({ hostId }: { hostId: string }) {
	const guests = useQuery(useTRPC().guests.list.queryOptions({ hostId, pageSize }));
	useLive(["guests"]);
	return (
		<Panel
			title="Guests"
			aside={
				<Link href={`/guests?host=${hostId}`} className="text-sm font-medium text-accent hover:underline">
					In the list
				</Link>
			}
		>
			<Answer of={guests}>
				{({ rows, total }) =>
					rows.length === 0 ? (
						<p className="text-soft">No guest is on this host.</p>
					) : (
						<ul className="rows">
							{rows.map((guest) => (
								<li
									key={guest.id}
									className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1 py-2 first:pt-0 last:pb-0"
								>
									<span className="flex min-w-0 flex-wrap items-center gap-2">
										<Link href={`/guests/${guest.id}`} className="font-medium wrap-anywhere hover:underline">
											{guest.name}
										</Link>
										<GuestStateChip state={guest.state} moving={guest.moving !== null} />
										<AcceleratorBadge accelerator={guest.accelerator} />
									</span>
									<span className="text-sm text-soft">
										{guest.moving && (
											<Link href={`/migrations/${guest.moving.migrationId}`} className="mr-3 link">
												to {guest.moving.target.name}, {formatPercent(guest.moving.progress)}
											</Link>
										)}
										CPU {guest.cpuUsed === null ? "–" : formatPercent(guest.cpuUsed)} of {guest.vcpus} ·{" "}
										{formatBytes(guest.memoryBytes)}
									</span>
								</li>
							))}
							{total > rows.length && <li className="pt-2 text-sm text-soft">and {total - rows.length} more</li>}
						</ul>
					)
				}
			</Answer>
		</Panel>
	);
}
