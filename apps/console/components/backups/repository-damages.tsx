import type { RepositoryDamage } from "@sterna/shared/backup";
import { formatBytes } from "@sterna/shared/units";
import { CircleCheck } from "lucide-react";
import Link from "next/link";
import { Panel } from "../../ui/panel.tsx";
import { DayTime } from "../../ui/time.tsx";
import { sentence } from "../words.ts";
import { countOf } from "./words.ts";

interface RepositoryDamagesProps {
	damages: readonly RepositoryDamage[];
	lastScrubAt: number | null;
}

/** What is not as it was written: which object, and what it means for which guest. */
export function RepositoryDamages({ damages, lastScrubAt }: RepositoryDamagesProps) {
	return (
		<Panel title="Damage">
			{damages.length === 0 ? (
				<p className="flex items-center gap-2 text-soft">
					<CircleCheck aria-hidden className="size-4 shrink-0 text-ok" />
					{lastScrubAt === null ? (
						"None is known; nothing was scrubbed yet."
					) : (
						<span>
							Everything was as it was written when it was last read, <DayTime at={lastScrubAt} />.
						</span>
					)}
				</p>
			) : (
				<ul className="rows">
					{damages.map((damage) => (
						<li key={damage.object} className="py-2.5 first:pt-0 last:pb-0">
							<p className="border-l-2 border-bad pl-2.5 font-medium wrap-anywhere">{sentence(damage.text)}</p>
							<p className="mt-0.5 pl-3 font-mono text-sm text-soft wrap-anywhere">{damage.object}</p>
							{damage.points.length === 0 ? (
								<p className="mt-1 pl-3 text-sm text-soft">No recovery point needs it.</p>
							) : (
								<ul className="mt-1.5 flex flex-col gap-1 pl-3">
									{damage.points.slice(0, 20).map((hit) => (
										<li key={`${hit.pointId} ${hit.volumeId}`} className="text-sm">
											<Link href={`/backups/points/${hit.pointId}`} className="link">
												{hit.guestName}
											</Link>
											<span className="text-soft"> {rangesOf(hit.ranges)}</span>
										</li>
									))}
									{damage.points.length > 20 && (
										<li className="text-sm text-soft">And {countOf(damage.points.length - 20, "more point")}.</li>
									)}
								</ul>
							)}
						</li>
					))}
				</ul>
			)}
			{damages.length > 0 && (
				<p className="mt-3 text-soft">
					The next backup of each guest stores anew what is damaged, as long as the guest still has it.
				</p>
			)}
		</Panel>
	);
}

/** Which bytes of the disk cannot be read, in a few words. */
function rangesOf(ranges: RepositoryDamage["points"][number]["ranges"]): string {
	const [first] = ranges;
	if (!first) return "as a whole";
	const bytes = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
	const rest = ranges.length > 1 ? `, and ${countOf(ranges.length - 1, "more range")}` : "";
	return `${formatBytes(bytes)} of its disk: bytes ${first.from} to ${first.to}${rest}`;
}
