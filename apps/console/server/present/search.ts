import type { Backups } from "../backups/backups.ts";
import type { Core } from "../core.ts";
import { connectionOf, guestStanding } from "../inventory/standing.ts";
import type { SearchHit } from "../views-overview.ts";
import { matches } from "./paging.ts";

const maxHits = 20;

/** Hosts, guests, backup jobs and repositories by name, id or address; names that begin with the text first. */
export function searchFor(
	{ inventory, now }: Core,
	backups: Pick<Backups, "jobs" | "repositories">,
	text: string,
): SearchHit[] {
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
	const jobs = backups.jobs
		.all()
		.filter((job) => matches(text, job.spec.name, job.id))
		.map((job): SearchHit => {
			return { type: "job", id: job.id, title: job.spec.name, detail: "backup job", href: `/backups/jobs/${job.id}` };
		});
	const repositories = backups.repositories
		.all()
		.filter((repository) => matches(text, repository.name, repository.id))
		.map((repository): SearchHit => {
			const { id, name } = repository;
			return { type: "repository", id, title: name, detail: "backup repository", href: `/backups/repositories/${id}` };
		});
	const start = text.trim().toLowerCase();
	return [...hosts, ...guests, ...jobs, ...repositories]
		.sort(
			(a, b) =>
				Number(b.title.startsWith(start)) - Number(a.title.startsWith(start)) ||
				a.title.localeCompare(b.title, "en", { numeric: true }),
		)
		.slice(0, maxHits);
}
