import { formatDuration, formatPercent } from "@sterna/shared/units";
import Link from "next/link";
import type { EvacuationView } from "../server/views-migrations.ts";
import { Chip } from "../ui/chip.tsx";
import { Progress } from "../ui/meter.tsx";
import { Refusals } from "./refusals.tsx";
import { evacuationItemTone } from "./words.ts";

/** Every guest of an evacuation in its order, with what became of it. */
export function EvacuationItems({ items }: { items: EvacuationView["items"] }) {
	if (items.length === 0) return <p className="text-soft">No guest was running on the host.</p>;
	return (
		<ol className="rows">
			{items.map((item, index) => (
				<li key={item.guest.id} className="py-2.5 first:pt-0 last:pb-0">
					<div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-1">
						<span className="flex min-w-0 flex-wrap items-center gap-2">
							<span className="w-5 text-right text-faint">{index + 1}</span>
							<Link href={`/guests/${item.guest.id}`} className="font-medium wrap-anywhere hover:underline">
								{item.guest.name}
							</Link>
							<Chip tone={evacuationItemTone[item.state]}>{item.state}</Chip>
							{item.target && <span className="text-soft">to {item.target.name}</span>}
						</span>
						<span className="text-sm text-soft max-sm:w-full max-sm:pl-7">
							{item.measuredDowntimeMs !== null && `paused ${formatDuration(item.measuredDowntimeMs)}`}
							{item.attempts > 1 && `, attempt ${item.attempts}`}
							{item.migrationId && (
								<Link href={`/migrations/${item.migrationId}`} className="link not-first:ml-3">
									{item.state === "moving" ? `Watch, ${formatPercent(item.progress)}` : "Journal"}
									<span className="sr-only"> of {item.guest.name}</span>
								</Link>
							)}
						</span>
					</div>
					{item.state === "moving" && (
						<div className="mt-1.5 pl-7">
							<Progress label={`Move of ${item.guest.name}`} share={item.progress} />
						</div>
					)}
					{item.refusal && (
						<div className="mt-1.5 pl-7">
							<Refusals refusals={[item.refusal]} />
						</div>
					)}
				</li>
			))}
		</ol>
	);
}
