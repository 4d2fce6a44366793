import Link from "next/link";
import type { EventView } from "../server/views-events.ts";
import { Time } from "../ui/time.tsx";
import { type Tone, textTone } from "../ui/tone.ts";

const tones: Record<NonNullable<EventView["severity"]>, Tone> = { watch: "watch", degraded: "warn", failing: "bad" };

/** Events in a few lines each: when, what, why. The time is the permalink. */
export function EventList({ events }: { events: readonly EventView[] }) {
	if (events.length === 0) return <p className="text-soft">Nothing has happened here yet.</p>;
	return (
		<ol className="rows">
			{events.map((event) => (
				<li key={event.sequence} className="grid grid-cols-[5.25rem_minmax(0,1fr)] gap-2 py-[7px]">
					<Link href={`/events?event=${event.sequence}`} className="text-sm text-faint hover:underline">
						<span className="sr-only">Event {event.sequence}, </span>
						<Time at={event.at} />
					</Link>
					<div className="min-w-0 wrap-anywhere">
						{event.severity && (
							<span className={`mr-1.5 font-medium ${textTone[tones[event.severity]]}`}>{event.severity}</span>
						)}
						{event.sentence}
						{event.why && <div className="text-sm text-soft">{event.why}</div>}
					</div>
				</li>
			))}
		</ol>
	);
}

/** The page of an object that an event speaks of; null when it has none. */
export function hrefOf(object: EventView["objects"][number]): string | null {
	switch (object.type) {
		case "host":
			return `/hosts/${object.id}`;
		case "guest":
			return `/guests/${object.id}`;
		case "migration":
			return `/migrations/${object.id}`;
		case "evacuation":
			return `/evacuations/${object.id}`;
		case "repository":
			return `/backups/repositories/${object.id}`;
		case "job":
			return `/backups/jobs/${object.id}`;
		case "point":
			return `/backups/points/${object.id}`;
		case "restore":
			return `/backups/restores/${object.id}`;
		case "user":
			return null;
	}
}
