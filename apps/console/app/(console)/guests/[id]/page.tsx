"use client";
import { formatBytes, formatPercent } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { EventsOf } from "../../../../components/events-of.tsx";
import { GuestActions } from "../../../../components/guest-actions.tsx";
import { GuestCharts } from "../../../../components/guest-charts.tsx";
import { GuestDevices } from "../../../../components/guest-devices.tsx";
import { GuestLinks } from "../../../../components/guest-links.tsx";
import { GuestProtection } from "../../../../components/guest-protection.tsx";
import { GuestVolumes } from "../../../../components/guest-volumes.tsx";
import { useLive } from "../../../../components/live.tsx";
import { Answer } from "../../../../components/page-state.tsx";
import { SerialConsole } from "../../../../components/serial-console.tsx";
import { AcceleratorBadge, GuestStateChip } from "../../../../components/states.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { Uptime } from "../../../../components/uptime.tsx";
import { WhereTo } from "../../../../components/where-to.tsx";
import { guestStateTone, phaseWords, statement } from "../../../../components/words.ts";
import type { GuestView } from "../../../../server/views-guests.ts";
import { Figures } from "../../../../ui/figures.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Progress } from "../../../../ui/meter.tsx";

/** What is this guest doing, and what may I do with it. */
export default function GuestPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const guest = useQuery(useTRPC().guests.get.queryOptions({ guestId: id }));
	useLive([`guest:${id}`]);
	return (
		<Answer of={guest} noun={{ name: "guest", href: "/guests", all: "All guests" }}>
			{(data) => <Guest guest={data} />}
		</Answer>
	);
}

function Guest({ guest }: { guest: GuestView }) {
	return (
		<>
			<title>{`${guest.name} · Sterna`}</title>
			<Headline
				tone={guestStateTone[guest.state]}
				title={guest.name}
				marks={
					<span className="flex flex-wrap gap-1.5">
						<GuestStateChip state={guest.state} moving={guest.moving !== null} />
						<AcceleratorBadge accelerator={guest.accelerator} />
					</span>
				}
				lead={<Lead guest={guest} />}
				actions={<GuestActions guest={guest} />}
			/>
			<GuestLinks guestId={guest.id} />
			<Figures
				figures={[
					{ label: "Running for", value: <Uptime startedAt={guest.state === "stopped" ? null : guest.startedAt} /> },
					{
						label: "CPU",
						value: guest.cpuUsed === null ? "–" : formatPercent(guest.cpuUsed),
						note: `of ${guest.vcpus} vCPU`,
					},
					{
						label: "Memory resident",
						value: guest.memoryResidentBytes === null ? "–" : formatBytes(guest.memoryResidentBytes),
						note: `${formatBytes(guest.memoryBytes)} granted`,
					},
					{
						label: "Disks",
						value: guest.diskBytes === 0 ? "none" : formatBytes(guest.diskBytes),
						note: guest.spec.volumes.length > 1 ? `in ${guest.spec.volumes.length}` : undefined,
					},
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<div className="flex min-w-0 flex-col gap-[18px]">
					<SerialConsole guest={guest} />
					<GuestCharts guest={guest} />
				</div>
				<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
					<GuestProtection guest={guest} />
					<WhereTo guest={guest} />
					<GuestVolumes guest={guest} />
					<GuestDevices guest={guest} />
					<EventsOf objectId={guest.id} />
				</div>
			</div>
		</>
	);
}

function Lead({ guest }: { guest: GuestView }) {
	const { moving } = guest;
	return (
		<>
			<p>
				On{" "}
				<Link href={`/hosts/${guest.host.id}`} className="link">
					{guest.host.name}
				</Link>
				{!guest.hostOnline && ", which is out of reach"}
				{moving && (
					<>
						, moving to{" "}
						<Link href={`/hosts/${moving.target.id}`} className="link">
							{moving.target.name}
						</Link>
						: {phaseWords[moving.phase].doing}, {formatPercent(moving.progress)}
					</>
				)}
				.{guest.remark && ` ${statement(guest.remark)}`}
			</p>
			{moving && (
				<div className="mt-2 max-w-96">
					<Progress label={`Move to ${moving.target.name}`} share={moving.progress} />
				</div>
			)}
		</>
	);
}
