import type { Core } from "../core.ts";
import { connectionOf, guestStanding } from "../inventory/standing.ts";
import type { SearchHit } from "../views.ts";
import { matches } from "./paging.ts";

const maxHits = 20;

/** Hosts and guests by name, id or address; names that begin with the text first. */
export function searchFor({ inventory, now }: Core, text: string): SearchHit[] {
	const at = now();
	const hosts = [...inventory.hosts.values()]
		.filter((host) => matches(text, host.name, host.id, host.facts?.peerAddress ?? ""))
		.map((host): SearchHit => {
			return { type: "host", id: host.id, title: host.name, detail: connectionOf(host, at), href: `/hosts/${host.id}` };
		});
	const guests = [...inventory.guests.values()]
		.filter((guest) => matches(text, guest.name, guest.id, ...guest.spec.nics.map(({ mac }) => mac)))
		.map((guest): SearchHit => {
			const { state, host } = guestStanding(guest, inventory, at);
			return {
				type: "guest",
				id: guest.id,
				title: guest.name,
				detail: `${state} on ${host.name}`,
				href: `/guests/${guest.id}`,
			};
		});
	const start = text.trim().toLowerCase();
	return [...hosts, ...guests]
		.sort(
			(a, b) =>
				Number(b.title.startsWith(start)) - Number(a.title.startsWith(start)) ||
				a.title.localeCompare(b.title, "en", { numeric: true }),
		)
		.slice(0, maxHits);
}
