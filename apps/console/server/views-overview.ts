import { GuestState } from "@sterna/shared/guest";
import { GuestId } from "@sterna/shared/ids";
import { z } from "zod";
import { EventView } from "./views-events.ts";
import { ProtectionSummary } from "./views-guests.ts";
import { HostRow } from "./views-hosts.ts";

/** What the overview and the search get: a headline, what is under way, and what needs a person. */

/** A page of the console that a sentence leads to. */
export const Link = z.object({ label: z.string(), href: z.string() });
export type Link = z.infer<typeof Link>;

export const Headline = z.object({
	tone: z.enum(["calm", "watch", "degraded", "failing"]),
	sentence: z.string(),
	lead: z.string().nullable(),
	link: Link.nullable(),
});
export type Headline = z.infer<typeof Headline>;

export const GuestChip = z.object({
	id: GuestId,
	name: z.string(),
	state: GuestState,
	moving: z.enum(["out", "in"]).nullable(),
	peerHostName: z.string().nullable(),
});
export type GuestChip = z.infer<typeof GuestChip>;

/** Something under way, with time left. */
export const Task = z.object({
	id: z.string(),
	kind: z.enum(["migration", "evacuation", "backup", "restore", "upkeep"]),
	title: z.string(),
	/** `3 of 4`, `12 s left`. */
	amount: z.string(),
	detail: z.string(),
	progress: z.number(),
	remainingMs: z.number().nullable(),
	href: z.string(),
});
export type Task = z.infer<typeof Task>;

/** Something that only a person can decide. */
export const Decision = z.object({
	id: z.string(),
	title: z.string(),
	detail: z.string(),
	link: Link,
});
export type Decision = z.infer<typeof Decision>;

export const Overview = z.object({
	headline: Headline,
	figures: z.object({
		hosts: z.object({ total: z.int(), online: z.int(), healthy: z.int(), failing: z.int(), degraded: z.int() }),
		guests: z.object({ total: z.int(), running: z.int() }),
		/** Memory used of the rest when the largest host is lost; null with fewer than two hosts. */
		ifOneHostIsLost: z.object({ memoryShare: z.number(), fits: z.boolean() }).nullable(),
		migrationsRunning: z.int(),
		/** Guests by how they are protected now. */
		protection: ProtectionSummary,
	}),
	/** The worst first, at most 24. */
	hosts: z.array(HostRow.extend({ guests: z.array(GuestChip), moreGuests: z.int() })),
	moreHosts: z.int(),
	tasks: z.array(Task),
	decisions: z.array(Decision),
	events: z.array(EventView),
	demo: z.boolean(),
});
export type Overview = z.infer<typeof Overview>;

export const SearchHit = z.object({
	type: z.enum(["host", "guest", "migration", "job", "repository", "page"]),
	id: z.string(),
	title: z.string(),
	detail: z.string(),
	href: z.string(),
});
export type SearchHit = z.infer<typeof SearchHit>;
