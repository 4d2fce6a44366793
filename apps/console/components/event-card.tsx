import Link from "next/link";
import type { EventView } from "../server/views-events.ts";
import { Chip } from "../ui/chip.tsx";
import { Time } from "../ui/time.tsx";
import { hrefOf } from "./event-list.tsx";
import { healthTone } from "./words.ts";

interface EventCardProps {
	event: EventView;
	/** Shows the evidence at once. */
	open?: boolean;
}

/** One event whole: when, who, what, why, which objects, the evidence, and its seal. */
export function EventCard({ event, open = false }: EventCardProps) {
	return (
		<div className="grid gap-x-4 gap-y-1 sm:grid-cols-[7rem_minmax(0,1fr)]">
			<Link href={`/events?event=${event.sequence}`} className="text-sm text-faint hover:underline">
				<Time at={event.at} /> <span className="sm:block">event {event.sequence}</span>
			</Link>
			<div className="min-w-0">
				<p className="wrap-anywhere">
					{event.severity && (
						<span className="mr-2">
							<Chip tone={healthTone[event.severity]}>{event.severity}</Chip>
						</span>
					)}
					<span className="font-medium">{event.sentence}</span>
				</p>
				{event.why && <p className="text-soft wrap-anywhere">{event.why}</p>}
				<p className="mt-0.5 flex flex-wrap gap-x-3 text-sm text-soft">
					<span>{event.actor}</span>
					<span className="font-mono">{event.kind}</span>
					{withoutRepeats(event.objects).map((object) => {
						const href = hrefOf(object);
						const moves = ["migration", "evacuation", "restore", "point"].includes(object.type);
						const label = moves ? `${object.type} of ${object.name}` : object.name;
						return href ? (
							<Link key={`${object.type}:${object.id}`} href={href} className="link">
								{label}
							</Link>
						) : (
							<span key={`${object.type}:${object.id}`}>{label}</span>
						);
					})}
				</p>
				{event.evidence !== null && (
					<details className="mt-1" open={open}>
						<summary className="min-h-6 w-fit cursor-pointer text-sm text-accent">Evidence</summary>
						<pre className="mt-1 rounded-lg border border-line bg-sunken p-3 font-mono text-sm whitespace-pre-wrap wrap-anywhere">
							{JSON.stringify(event.evidence, null, 2)}
						</pre>
					</details>
				)}
				{open && <p className="mt-2 font-mono text-sm text-faint wrap-anywhere">seal {event.hash}</p>}
			</div>
		</div>
	);
}

/** A restore into the guest that it came from names that guest twice. */
function withoutRepeats(objects: EventView["objects"]): EventView["objects"] {
	return objects.filter(({ id }, index) => objects.findIndex((other) => other.id === id) === index);
}
