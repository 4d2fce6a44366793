"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { use } from "react";
import { EventsOf } from "../../../../components/events-of.tsx";
import { FindingCard } from "../../../../components/finding-card.tsx";
import { HostCharts } from "../../../../components/host-charts.tsx";
import { HostFactsPanel, HostStorage } from "../../../../components/host-facts.tsx";
import { HostGuests } from "../../../../components/host-guests.tsx";
import { useLive } from "../../../../components/live.tsx";
import { MaintenanceButton } from "../../../../components/maintenance.tsx";
import { Answer } from "../../../../components/page-state.tsx";
import { RevokeButton } from "../../../../components/revoke-host.tsx";
import { AcceleratorBadge, HealthChip, HostServiceChips, SimulatedBadge } from "../../../../components/states.tsx";
import { useTRPC } from "../../../../components/trpc.tsx";
import { EmptyInText } from "../../../../components/usage.tsx";
import { healthTone } from "../../../../components/words.ts";
import type { HostView } from "../../../../server/views-hosts.ts";
import { buttonClass } from "../../../../ui/button-class.ts";
import { Figures } from "../../../../ui/figures.tsx";
import { Headline } from "../../../../ui/headline.tsx";
import { Notice } from "../../../../ui/notice.tsx";
import { Panel } from "../../../../ui/panel.tsx";

/** Can I rely on this server, can I empty it. */
export default function HostPage({ params }: { params: Promise<{ id: string }> }) {
	const { id } = use(params);
	const host = useQuery(useTRPC().hosts.get.queryOptions({ hostId: id }));
	useLive([`host:${id}`]);
	return (
		<Answer of={host} noun={{ name: "host", href: "/hosts", all: "All hosts" }}>
			{(data) => <Host host={data} />}
		</Answer>
	);
}

function Host({ host }: { host: HostView }) {
	const open = host.findings.filter((finding) => finding.state === "open");
	const past = host.findings.filter((finding) => finding.state !== "open");
	return (
		<>
			<title>{`${host.name} · Sterna`}</title>
			<Headline
				tone={host.connection === "online" ? healthTone[host.health] : "warn"}
				title={host.name}
				marks={
					<span className="flex flex-wrap gap-1.5">
						<HealthChip health={host.health} />
						<HostServiceChips {...host} />
						<SimulatedBadge simulated={host.simulated} />
						{!host.simulated && <AcceleratorBadge accelerator={host.accelerator} />}
					</span>
				}
				lead={leadOf(host)}
				actions={
					<>
						{host.evacuationId && (
							<Link href={`/evacuations/${host.evacuationId}`} className={buttonClass("primary")}>
								Watch the evacuation
							</Link>
						)}
						<MaintenanceButton host={host} />
						<RevokeButton host={host} />
					</>
				}
			/>
			{host.quarantinedBecause && (
				<Notice
					tone="bad"
					className="mb-[18px]"
					title="The console has closed its door to this host."
					cure={host.quarantinedBecause}
				/>
			)}
			<Figures
				figures={[
					{
						label: "Guests running",
						value: host.connection === "online" ? host.guestsRunning : "–",
						note: `of ${host.guestsTotal}`,
					},
					{
						label: "Memory promised",
						value: formatBytes(host.memoryGrantedBytes),
						note: host.memoryTotalBytes === null ? undefined : `of ${formatBytes(host.memoryTotalBytes)}`,
					},
					{
						label: "Memory used",
						value: host.memoryUsedBytes === null ? "–" : formatBytes(host.memoryUsedBytes),
						note: `${formatBytes(host.memoryReserveBytes)} kept back`,
					},
					emptyFigure(host),
				]}
			/>
			<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<div className="flex min-w-0 flex-col gap-[18px]">
					<Panel
						title={
							open.length === 0 ? "Health" : `Health: ${open.length} ${open.length === 1 ? "finding" : "findings"}`
						}
					>
						{open.length === 0 ? (
							<p className="text-soft">
								{host.connection === "online"
									? "Memory, disks, kernel, temperature, filesystems and links are watched; nothing is wrong."
									: "The agent is not heard, so its sensors are not read."}
							</p>
						) : (
							<div className="rows">
								{open.map((finding) => (
									<FindingCard key={finding.id} finding={finding} />
								))}
							</div>
						)}
						{past.length > 0 && (
							<details className="mt-3 border-t border-line pt-2">
								<summary className="min-h-6 w-fit cursor-pointer text-sm text-accent">
									{past.length} earlier {past.length === 1 ? "finding" : "findings"}
								</summary>
								<div className="rows mt-2">
									{past.map((finding) => (
										<FindingCard key={finding.id} finding={finding} />
									))}
								</div>
							</details>
						)}
					</Panel>
					<HostGuests hostId={host.id} />
					<HostCharts host={host} />
				</div>
				<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2">
					<HostFactsPanel host={host} />
					<HostStorage host={host} />
					<EventsOf objectId={host.id} />
				</div>
			</div>
		</>
	);
}

function leadOf(host: HostView) {
	return (
		<>
			{host.healthSentence ?? (host.health === "healthy" ? "Nothing is wrong with it." : null)}
			{host.emptyIn.kind === "blocked" || host.emptyIn.kind === "unknown" ? (
				<span className="block first-letter:uppercase">
					<EmptyInText emptyIn={host.emptyIn} />
				</span>
			) : null}
		</>
	);
}

function emptyFigure({ emptyIn }: HostView) {
	switch (emptyIn.kind) {
		case "empty":
			return { label: "Empty in", value: "empty", note: "no guest runs here" };
		case "estimate":
			return { label: "Empty in", value: formatDuration(emptyIn.durationMs), note: "if asked now" };
		case "evacuating":
			return {
				label: "Empty in",
				value: emptyIn.remainingMs === null ? "–" : formatDuration(emptyIn.remainingMs),
				note: "evacuating",
			};
		case "blocked":
			return { label: "Empty in", value: "–", note: "something blocks it" };
		case "unknown":
			return { label: "Empty in", value: "–", note: "not known" };
	}
}
