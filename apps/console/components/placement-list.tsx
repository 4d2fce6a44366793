import { CircleCheck, CircleMinus } from "lucide-react";
import type { PlacementCandidate } from "../server/views-guests.ts";
import { Chip } from "../ui/chip.tsx";
import { Empty } from "../ui/empty.tsx";
import { Refusals } from "./refusals.tsx";

/** As many as a person compares. */
const shownHosts = 24;

/** Hosts as answers to "where could it go": the chosen one first, then the others with what speaks for or against. */
export function PlacementList({ candidates }: { candidates: readonly PlacementCandidate[] }) {
	if (candidates.length === 0) {
		return <Empty title="No server has joined yet.">A guest needs a host; join a server first.</Empty>;
	}
	const sorted = [...candidates].sort(
		(a, b) =>
			Number(b.chosen) - Number(a.chosen) ||
			(b.score ?? -1) - (a.score ?? -1) ||
			a.host.name.localeCompare(b.host.name),
	);
	const more = sorted.length - shownHosts;
	return (
		<ul className="rows">
			{sorted.slice(0, shownHosts).map((candidate) => (
				<li key={candidate.host.id} className="flex gap-2.5 py-2.5 first:pt-0">
					{candidate.refusals.length === 0 ? (
						<CircleCheck aria-label="possible" className="mt-0.5 size-4 shrink-0 text-ok" />
					) : (
						<CircleMinus aria-label="not possible" className="mt-0.5 size-4 shrink-0 text-warn" />
					)}
					<div className="min-w-0">
						<div className="flex flex-wrap items-center gap-2 font-medium">
							{candidate.host.name}
							{candidate.chosen && <Chip tone="ok">proposed</Chip>}
						</div>
						{candidate.refusals.length > 0 ? (
							<div className="mt-1">
								<Refusals refusals={candidate.refusals} />
							</div>
						) : (
							<ul className="text-sm text-soft">
								{candidate.reasons.map((reason) => (
									<li key={reason}>{reason}</li>
								))}
							</ul>
						)}
					</div>
				</li>
			))}
			{more > 0 && <li className="py-2.5 text-sm text-soft">And {more} more hosts that fit no better.</li>}
		</ul>
	);
}
