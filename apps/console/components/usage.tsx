import { formatBytes, formatDuration, formatPercent } from "@sterna/shared/units";
import Link from "next/link";
import type { EmptyIn, HostRow } from "../server/views-hosts.ts";
import type { GuestChip as GuestChipView } from "../server/views-overview.ts";
import { Meter } from "../ui/meter.tsx";
import { amountOf } from "./words.ts";

/** Used CPU of a host as a bar. */
export function CpuMeter({ cpuUsed, bare }: { cpuUsed: number | null; bare?: boolean }) {
	return (
		<Meter
			label="CPU"
			share={cpuUsed}
			text={cpuUsed === null ? "–" : formatPercent(cpuUsed)}
			tone={cpuUsed !== null && cpuUsed > 0.9 ? "warn" : "neutral"}
			bare={bare ?? false}
		/>
	);
}

/** Used memory of a host as a bar; the mark is what its guests have been promised. */
export function MemoryMeter({ host, bare }: { host: HostRow; bare?: boolean }) {
	const { memoryUsedBytes: used, memoryTotalBytes: total } = host;
	const known = used !== null && total !== null && total > 0;
	return (
		<Meter
			label="Memory"
			share={known ? used / total : null}
			text={known ? amountOf(used, total) : "–"}
			tone={known && used / total > 0.95 ? "warn" : "neutral"}
			bare={bare ?? false}
			mark={
				known
					? {
							share: Math.min(1, (host.memoryGrantedBytes + host.memoryReserveBytes) / total),
							meaning: `${formatBytes(host.memoryGrantedBytes)} promised to guests, ${formatBytes(host.memoryReserveBytes)} kept for the host`,
						}
					: undefined
			}
		/>
	);
}

/** How soon the host could be empty, or what stands in the way. */
export function EmptyInText({ emptyIn }: { emptyIn: EmptyIn }) {
	switch (emptyIn.kind) {
		case "empty":
			return <>empty</>;
		case "estimate":
			return <>empty in {formatDuration(emptyIn.durationMs)}</>;
		case "evacuating":
			return (
				<Link href={`/evacuations/${emptyIn.evacuationId}`} className="link">
					evacuating{emptyIn.remainingMs === null ? "" : `, ${formatDuration(emptyIn.remainingMs)} left`}
				</Link>
			);
		case "blocked":
			return (
				<>
					cannot be emptied: {emptyIn.reason}
					{emptyIn.guest && (
						<>
							{" ("}
							<Link href={`/guests/${emptyIn.guest.id}`} className="link">
								{emptyIn.guest.name}
							</Link>
							)
						</>
					)}
				</>
			);
		case "unknown":
			return <>{emptyIn.reason}</>;
	}
}

/** A guest in a few characters, with the direction when it moves. */
export function GuestChip({ guest }: { guest: GuestChipView }) {
	const looks =
		guest.moving === "in"
			? "border-accent font-semibold text-accent"
			: guest.moving === "out"
				? "border-dashed border-line-strong text-faint"
				: "border-line text-soft";
	return (
		<Link
			href={`/guests/${guest.id}`}
			className={`inline-flex min-h-6 max-w-full items-center gap-1 rounded-md border px-[7px] text-[0.75rem] hover:bg-sunken ${looks}`}
		>
			<span className="truncate">{guest.name}</span>
			{guest.moving === "out" && <span className="shrink-0">→ {guest.peerHostName ?? "another host"}</span>}
			{guest.moving === "in" && (
				<span className="shrink-0">
					←<span className="sr-only"> from {guest.peerHostName ?? "another host"}</span>
				</span>
			)}
			{guest.state !== "running" && !guest.moving && <span className="shrink-0 text-faint">{guest.state}</span>}
		</Link>
	);
}
