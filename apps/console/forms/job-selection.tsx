"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { countOf } from "../components/backups/words.ts";
import { useTRPC } from "../components/trpc.tsx";
import type { JobPreview } from "../server/views-backups.ts";
import { Check } from "../ui/check.tsx";
import { Field, TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { RadioCard } from "../ui/radio-card.tsx";
import { Select } from "../ui/select.tsx";
import type { JobPart } from "./job.tsx";
import { tagsOf } from "./job-draft.ts";

const ways = [
	{ by: "all", title: "All guests", what: "Also those that are created later." },
	{ by: "tags", title: "By tag", what: "Whoever carries one of the tags when the job runs." },
	{ by: "pool", title: "By storage pool", what: "Whoever has a disk in the pool when the job runs." },
	{ by: "guests", title: "By name", what: "Exactly those chosen here." },
] as const;

/** Which guests the job saves, and who that is right now. */
export function JobSelection(props: JobPart & { matching: JobPreview["guests"] | undefined }) {
	const { draft, set, matching } = props;
	return (
		<Panel
			title="Which guests"
			aside={
				<span role="status" className="text-sm text-soft">
					{matching && `${countOf(matching.length, "guest")} now`}
				</span>
			}
		>
			<fieldset>
				<legend className="sr-only">How guests are chosen</legend>
				<div className="grid gap-2 sm:grid-cols-2">
					{ways.map(({ by, title, what }) => (
						<RadioCard key={by} name="by" checked={draft.by === by} onChoose={() => set({ by })} title={title}>
							{what}
						</RadioCard>
					))}
				</div>
			</fieldset>
			{draft.by !== "all" && (
				<div className="mt-4">
					{draft.by === "tags" && <Tags {...props} />}
					{draft.by === "pool" && <Pool {...props} />}
					{draft.by === "guests" && <Names {...props} />}
				</div>
			)}
		</Panel>
	);
}

function Tags({ draft, set, errorOf }: JobPart) {
	const guests = useQuery(useTRPC().guests.list.queryOptions({ pageSize: 200 }));
	const chosen = tagsOf(draft.tags);
	const known = [...new Set(guests.data?.rows.flatMap(({ tags }) => tags))]
		.filter((tag) => !chosen.includes(tag))
		.sort();
	const wrong = chosen.findIndex((_, index) => errorOf(`selection.tags.${index}`) !== null);
	return (
		<>
			<TextField
				label="Tags"
				hint="With spaces or commas between them."
				error={
					errorOf("selection.tags") ?? (wrong >= 0 ? `“${chosen[wrong]}”: ${errorOf(`selection.tags.${wrong}`)}` : null)
				}
				value={draft.tags}
				onValue={(tags) => set({ tags })}
				autoComplete="off"
				spellCheck={false}
			/>
			{known.length > 0 && (
				<p className="mt-2 flex flex-wrap items-center gap-1.5 text-sm text-soft">
					In use:
					{known.slice(0, 12).map((tag) => (
						<button
							key={tag}
							type="button"
							aria-label={`Add the tag ${tag}`}
							className="min-h-7 rounded-full border border-line-strong px-2.5 hover:bg-sunken"
							onClick={() => set({ tags: [...chosen, tag].join(" ") })}
						>
							{tag}
						</button>
					))}
				</p>
			)}
		</>
	);
}

function Pool({ draft, set, errorOf }: JobPart) {
	const offers = useQuery(
		useTRPC().guests.planCreate.queryOptions({ vcpus: 1, memoryBytes: 128 * 1024 * 1024, volumes: [], networks: [] }),
	);
	const pools = offers.data?.pools ?? [];
	return (
		<Field label="Storage pool" error={errorOf("selection.pool")}>
			<Select
				label="Storage pool"
				value={draft.pool}
				choices={[
					...(pools.some(({ name }) => name === draft.pool)
						? []
						: [{ value: draft.pool, label: draft.pool || "Choose one" }]),
					...pools.map((pool) => ({
						value: pool.name,
						label: pool.name,
						note: `${pool.kind}, on ${countOf(pool.hosts, "host")}`,
					})),
				]}
				onValue={(pool) => set({ pool })}
			/>
		</Field>
	);
}

function Names({ draft, set, errorOf, matching }: JobPart & { matching: JobPreview["guests"] | undefined }) {
	const [filter, setFilter] = useState("");
	const guests = useQuery(
		useTRPC().guests.list.queryOptions({ pageSize: 20, filter }, { placeholderData: keepPreviousData }),
	);
	const rows = guests.data?.rows ?? [];
	const chosen = new Set(draft.guestIds);
	/** Chosen ones that the filter does not show stay in sight, with the name that the preview knows. */
	const elsewhere = draft.guestIds
		.filter((id) => !rows.some((row) => row.id === id))
		.map((id) => ({ id, name: matching?.find((one) => one.id === id)?.name ?? "a guest that is not shown here" }));
	const toggle = (id: string, on: boolean) =>
		set({ guestIds: on ? [...draft.guestIds, id] : draft.guestIds.filter((one) => one !== id) });
	return (
		<fieldset>
			<legend className="mb-1 text-sm font-medium">Guests, {chosen.size} chosen</legend>
			<TextField label="Find by name" value={filter} onValue={setFilter} autoComplete="off" />
			<div className="mt-2 grid max-h-64 gap-x-4 overflow-y-auto sm:grid-cols-2">
				{elsewhere.map(({ id, name }) => (
					<Check key={id} checked label={name} onChange={(on) => toggle(id, on)} />
				))}
				{rows.map((row) => (
					<Check
						key={row.id}
						checked={chosen.has(row.id)}
						label={row.name}
						note={`on ${row.host.name}`}
						onChange={(on) => toggle(row.id, on)}
					/>
				))}
			</div>
			{guests.data && rows.length < guests.data.total && (
				<p className="mt-1 text-sm text-soft">
					{guests.data.total - rows.length} more; write a part of the name to find them.
				</p>
			)}
			{errorOf("selection.guestIds") && <p className="mt-1 text-sm text-bad">{errorOf("selection.guestIds")}</p>}
		</fieldset>
	);
}
