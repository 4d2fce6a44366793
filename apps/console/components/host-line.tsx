import Link from "next/link";
import type { Overview } from "../server/views-overview.ts";
import { HealthChip, HostServiceChips, SimulatedBadge } from "./states.tsx";
import { CpuMeter, EmptyInText, GuestChip, MemoryMeter } from "./usage.tsx";

/** A host in a line: how it is, how full, how soon empty, and who runs there. */
export function HostLine({ host }: { host: Overview["hosts"][number] }) {
	return (
		<li className="grid grid-cols-2 items-center gap-x-4 gap-y-2 py-3 first:pt-0 last:pb-0 md:grid-cols-[minmax(170px,1.1fr)_1fr_1fr_1.35fr] md:gap-x-[18px]">
			<div className="min-w-0 max-md:col-span-2">
				<Link href={`/hosts/${host.id}`} className="font-semibold wrap-anywhere hover:underline">
					{host.name}
				</Link>
				<div className="mt-0.5 flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-soft">
					<HealthChip health={host.health} />
					<HostServiceChips {...host} mode={host.emptyIn.kind === "evacuating" ? "normal" : host.mode} />
					<SimulatedBadge simulated={host.simulated} />
					{host.emptyIn.kind !== "empty" && (
						<span className="wrap-anywhere">
							<EmptyInText emptyIn={host.emptyIn} />
						</span>
					)}
				</div>
			</div>
			<CpuMeter cpuUsed={host.cpuUsed} />
			<MemoryMeter host={host} />
			<div className="flex min-w-0 flex-wrap gap-[5px] max-md:col-span-2">
				{host.guests.length === 0 && <span className="text-sm text-faint">no guests</span>}
				{host.guests.map((guest) => (
					<GuestChip key={guest.id} guest={guest} />
				))}
				{host.moreGuests > 0 && (
					<Link href={`/guests?host=${host.id}`} className="text-sm link">
						{host.moreGuests} more
					</Link>
				)}
			</div>
		</li>
	);
}
