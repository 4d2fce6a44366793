"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import Link from "next/link";
import { ActionLink } from "../../../components/action-link.tsx";
import { useLive } from "../../../components/live.tsx";
import { AcceleratorBadge, HealthChip, HostServiceChips, SimulatedBadge } from "../../../components/states.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { CpuMeter, EmptyInText, MemoryMeter } from "../../../components/usage.tsx";
import type { HostRow } from "../../../server/views-hosts.ts";
import { defineColumns } from "../../../table/columns.ts";
import { ListPage } from "../../../table/list-page.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";

const sorts = ["name", "health", "cpu", "memory", "guests"] as const;

const columns = defineColumns<HostRow>([
	{
		id: "name",
		header: "Host",
		sortable: true,
		cell: (host) => (
			<div className="min-w-0">
				<Link href={`/hosts/${host.id}`} data-row-link className="font-semibold wrap-anywhere hover:underline">
					{host.name}
				</Link>
				<div className="flex flex-wrap gap-1">
					<HostServiceChips {...host} />
					<SimulatedBadge simulated={host.simulated} />
				</div>
				<div className="text-sm text-soft md:hidden">
					{host.guestsRunning} of {host.guestsTotal} guests · <EmptyInText emptyIn={host.emptyIn} />
				</div>
			</div>
		),
	},
	{
		id: "health",
		header: "Health",
		sortable: true,
		cell: (host) => (
			<>
				<HealthChip health={host.health} />
				{host.healthSentence && <div className="mt-0.5 max-w-64 text-sm text-soft">{host.healthSentence}</div>}
			</>
		),
	},
	{
		id: "cpu",
		header: "CPU",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (host) => (
			<div className="w-32">
				<CpuMeter cpuUsed={host.cpuUsed} />
			</div>
		),
	},
	{
		id: "memory",
		header: "Memory",
		sortable: true,
		wideOnly: true,
		optional: true,
		cell: (host) => (
			<div className="w-40">
				<MemoryMeter host={host} />
			</div>
		),
	},
	{
		id: "guests",
		header: "Guests",
		sortable: true,
		align: "end",
		wideOnly: true,
		optional: true,
		cell: (host) => `${host.guestsRunning} of ${host.guestsTotal}`,
	},
	{
		id: "empty",
		header: "Empty in",
		wideOnly: true,
		optional: true,
		cell: (host) => (
			<div className="max-w-56 text-sm text-soft">
				<EmptyInText emptyIn={host.emptyIn} />
			</div>
		),
	},
	{
		id: "versions",
		header: "Runs with",
		wideOnly: true,
		optional: true,
		cell: (host) => (
			<div className="text-sm text-soft">
				<div>QEMU {host.qemuVersion ?? "–"}</div>
				{!host.simulated && <AcceleratorBadge accelerator={host.accelerator} />}
			</div>
		),
	},
]);

export default function HostsPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts);
	const hosts = useQuery(trpc.hosts.list.queryOptions(url.request, { placeholderData: keepPreviousData }));
	useLive(["hosts"]);
	const join = (
		<ActionLink href="/hosts/join" least="admin" kind="primary">
			<Plus aria-hidden className="size-4" />
			Join a server
		</ActionLink>
	);
	return (
		<ListPage
			title="Hosts"
			lead="The servers that run guests: how they are, how full, how soon empty."
			actions={join}
			query={hosts}
			columns={columns}
			url={url}
			rowId={(host) => host.id}
			rowName={(host) => host.name}
			filterLabel="Filter by name"
			nothingFits="No host has this in its name."
			empty={
				<Empty title="No server has joined yet." action={join}>
					Joining takes a single line, pasted on the server that is to run guests.
				</Empty>
			}
		/>
	);
}
