"use client";
import { GuestState } from "@sterna/shared/guest";
import { HostId } from "@sterna/shared/ids";
import { formatBytes, formatDuration, formatPercent } from "@sterna/shared/units";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import Link from "next/link";
import { ActionLink } from "../../../components/action-link.tsx";
import { ProtectionChip } from "../../../components/backups/chips.tsx";
import { GuestBulk } from "../../../components/guest-bulk.tsx";
import { useLive } from "../../../components/live.tsx";
import { AcceleratorBadge, GuestStateChip } from "../../../components/states.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { Uptime } from "../../../components/uptime.tsx";
import type { GuestRow } from "../../../server/views-guests.ts";
import { defineColumns } from "../../../table/columns.ts";
import { ListPage } from "../../../table/list-page.tsx";
import { asChoices, ChoiceFilter, Narrowed } from "../../../table/url-filters.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";

const sorts = ["name", "state", "host", "cpu", "memory"] as const;

const columns = defineColumns<GuestRow>([
	{
		id: "name",
		header: "Guest",
		sortable: true,
		cell: (guest) => (
			<div className="min-w-0">
				<Link href={`/guests/${guest.id}`} data-row-link className="font-semibold wrap-anywhere hover:underline">
					{guest.name}
				</Link>
				{guest.tags.length > 0 && <div className="text-sm text-soft">{guest.tags.join(" ")}</div>}
				{guest.remark && <div className="max-w-80 text-sm text-soft">{guest.remark}</div>}
				<div className="text-sm text-soft md:hidden">
					on {guest.host.name} · {guest.vcpus} vCPU · {formatBytes(guest.memoryBytes)}
				</div>
			</div>
		),
	},
	{
		id: "state",
		header: "State",
		sortable: true,
		cell: (guest) => (
			<div className="flex flex-wrap items-center gap-1">
				<GuestStateChip state={guest.state} moving={guest.moving !== null} />
				<AcceleratorBadge accelerator={guest.accelerator} />
			</div>
		),
	},
	{
		id: "host",
		header: "Host",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (guest) => (
			<>
				<Link href={`/hosts/${guest.host.id}`} className="hover:underline">
					{guest.host.name}
				</Link>
				{guest.moving && (
					<Link href={`/migrations/${guest.moving.migrationId}`} className="block text-sm link">
						to {guest.moving.target.name}, {formatPercent(guest.moving.progress)}
					</Link>
				)}
				{!guest.hostOnline && <div className="text-sm text-warn">out of reach</div>}
			</>
		),
	},
	{
		id: "cpu",
		header: "CPU",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (guest) => (
			<>
				{guest.cpuUsed === null ? "–" : formatPercent(guest.cpuUsed)}
				<div className="text-sm text-soft">of {guest.vcpus} vCPU</div>
			</>
		),
	},
	{
		id: "memory",
		header: "Memory",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (guest) => (
			<>
				{guest.memoryResidentBytes === null ? "–" : formatBytes(guest.memoryResidentBytes)}
				<div className="text-sm text-soft">{formatBytes(guest.memoryBytes)} granted</div>
			</>
		),
	},
	{
		id: "disks",
		header: "Disks",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (guest) => (guest.diskBytes === 0 ? "none" : formatBytes(guest.diskBytes)),
	},
	{
		id: "networks",
		header: "Networks",
		wideOnly: true,
		optional: true,
		cell: (guest) => guest.networks.join(", ") || "none",
	},
	{
		id: "backup",
		header: "Backup",
		wideOnly: true,
		optional: true,
		cell: ({ protection }) =>
			protection ? (
				<>
					<ProtectionChip state={protection.state} />
					{protection.recoveryPointAgeMs !== null && (
						<div className="text-sm text-soft">{formatDuration(protection.recoveryPointAgeMs)} old</div>
					)}
				</>
			) : (
				"–"
			),
	},
	{
		id: "uptime",
		header: "Running for",
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (guest) => <Uptime startedAt={guest.startedAt} />,
	},
]);

export default function GuestsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts);
	const state = GuestState.safeParse(url.param("state")).data;
	const hostId = HostId.safeParse(url.param("host")).data;
	const guests = useQuery(
		trpc.guests.list.queryOptions(
			{
				...url.request,
				...(state ? { state: [state] } : {}),
				...(hostId ? { hostId } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["guests"]);
	const create = (
		<ActionLink href="/guests/new" least="operator" kind="primary">
			<Plus aria-hidden className="size-4" />
			Create a guest
		</ActionLink>
	);
	return (
		<ListPage
			title="Guests"
			lead="Which guests there are, where they run and how they are."
			actions={create}
			query={guests}
			columns={columns}
			url={url}
			rowId={(guest) => guest.id}
			rowName={(guest) => guest.name}
			filterLabel="Filter by name"
			filters={
				<>
					<ChoiceFilter url={url} name="state" label="State" any="Any state" choices={asChoices(GuestState.options)} />
					{hostId && (
						<Narrowed url={url} names={["host"]}>
							One host only
						</Narrowed>
					)}
				</>
			}
			bulk={(chosen, clear) => <GuestBulk chosen={chosen} clear={clear} />}
			nothingFits="No guest fits the filter."
			empty={
				<Empty title="There are no guests yet." action={create}>
					A guest is a virtual machine. The console proposes a host for it and says why.
				</Empty>
			}
		/>
	);
}
