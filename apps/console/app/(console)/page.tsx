"use client";
import { formatDuration, formatPercent } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import Link from "next/link";
import { ActionLink } from "../../components/action-link.tsx";
import { atRisk } from "../../components/backups/protection-headline.ts";
import { BreakSomething } from "../../components/break-something.tsx";
import { EventList } from "../../components/event-list.tsx";
import { HostLine } from "../../components/host-line.tsx";
import { useLive } from "../../components/live.tsx";
import { Answer } from "../../components/page-state.tsx";
import { useTRPC } from "../../components/trpc.tsx";
import { headlineTone } from "../../components/words.ts";
import type { Overview } from "../../server/views-overview.ts";
import { buttonClass } from "../../ui/button-class.ts";
import { Empty } from "../../ui/empty.tsx";
import { Figures } from "../../ui/figures.tsx";
import { Headline } from "../../ui/headline.tsx";
import { Progress } from "../../ui/meter.tsx";
import { Panel } from "../../ui/panel.tsx";
import { Skeleton } from "../../ui/skeleton.tsx";

const more = "text-sm font-medium text-accent hover:underline";

/** Is anything wrong, what is being done, what needs me. */
export default function OverviewPage() {
	const overview = useQuery(useTRPC().overview.get.queryOptions());
	useLive(["overview"]);
	return (
		<>
			<title>Overview · Sterna</title>
			<Answer of={overview} waiting={<Waiting />}>
				{(data) => (
					<>
						<Headline
							tone={headlineTone[data.headline.tone]}
							title={data.headline.sentence}
							lead={data.headline.lead}
							actions={
								data.headline.link && (
									<Link href={data.headline.link.href} className={buttonClass("primary")}>
										{data.headline.link.label}
									</Link>
								)
							}
						/>
						<Figures figures={figuresOf(data)} />
						<div className="mt-[18px] grid items-start gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)] xl:grid-rows-[auto_1fr]">
							<Hosts data={data} />
							<div className="grid min-w-0 items-start gap-[18px] md:max-xl:grid-cols-2 xl:col-start-2 xl:row-span-2 xl:row-start-1">
								<Tasks tasks={data.tasks} />
								<Decisions decisions={data.decisions} />
								<Panel
									title="Events"
									className="md:max-xl:col-span-2"
									aside={
										<Link href="/events" className={more}>
											All events
										</Link>
									}
								>
									<EventList events={data.events} />
								</Panel>
							</div>
							{data.demo && <BreakSomething hosts={data.hosts} />}
						</div>
					</>
				)}
			</Answer>
		</>
	);
}

function figuresOf({ figures }: Overview) {
	const { hosts, guests, ifOneHostIsLost: lost, migrationsRunning, protection } = figures;
	const risk = atRisk(protection);
	const kinds = [
		hosts.healthy > 0 && `${hosts.healthy} healthy`,
		hosts.degraded > 0 && `${hosts.degraded} degraded`,
		hosts.failing > 0 && `${hosts.failing} failing`,
		hosts.total > hosts.online && `${hosts.total - hosts.online} offline`,
	];
	return [
		{ label: "Hosts", value: hosts.total, note: kinds.filter(Boolean).join(" · ") || undefined },
		{ label: "Guests running", value: guests.running, note: `of ${guests.total}` },
		{
			label: "Memory if one host is lost",
			value: lost ? formatPercent(lost.memoryShare) : "–",
			note: lost ? (lost.fits ? "fits" : "does not fit") : "needs two hosts",
		},
		{
			label: "Can be restored",
			value: protection.protected,
			note: risk > 0 ? `of ${protection.guests}, ${risk} at risk` : `of ${protection.guests}, as agreed`,
		},
		{ label: "Moving now", value: migrationsRunning, note: migrationsRunning === 1 ? "guest" : "guests" },
	];
}

function Hosts({ data }: { data: Overview }) {
	return (
		<Panel
			title="Hosts"
			aside={
				<Link href="/hosts" className={more}>
					{data.moreHosts > 0 ? `All hosts, ${data.moreHosts} more` : "All hosts"}
				</Link>
			}
		>
			{data.hosts.length === 0 ? (
				<Empty
					title="No server has joined yet."
					action={
						<ActionLink href="/hosts/join" least="admin" kind="primary">
							Join a server
						</ActionLink>
					}
				>
					Guests run on servers that carry Sterna’s agent. Joining one takes a single line, pasted on that server.
				</Empty>
			) : (
				<ul className="rows">
					{data.hosts.map((host) => (
						<HostLine key={host.id} host={host} />
					))}
				</ul>
			)}
		</Panel>
	);
}

function Tasks({ tasks }: { tasks: Overview["tasks"] }) {
	return (
		<Panel title="Being done">
			{tasks.length === 0 ? (
				<p className="text-soft">Nothing is under way.</p>
			) : (
				<ul className="rows">
					{tasks.map((task) => (
						<li key={task.id} className="py-2.5 first:pt-0 last:pb-0">
							<div className="flex justify-between gap-3">
								<Link href={task.href} className="min-w-0 font-medium wrap-anywhere hover:underline">
									{task.title}
								</Link>
								<span className="whitespace-nowrap text-soft">
									{task.kind !== "evacuation" && task.remainingMs !== null
										? `${formatDuration(task.remainingMs)} left`
										: task.amount}
								</span>
							</div>
							<div className="my-1.5">
								<Progress label={task.title} share={task.progress} />
							</div>
							<p className="min-h-[1.45em] text-sm text-soft">{task.detail}</p>
						</li>
					))}
				</ul>
			)}
		</Panel>
	);
}

function Decisions({ decisions }: { decisions: Overview["decisions"] }) {
	return (
		<Panel title="Needs you">
			{decisions.length === 0 ? (
				<p className="text-soft">Nothing waits for a decision.</p>
			) : (
				<ul className="rows">
					{decisions.map((decision) => (
						<li key={decision.id} className="py-2.5 first:pt-0 last:pb-0">
							<div className="flex justify-between gap-3">
								<span className="min-w-0 font-medium wrap-anywhere">{decision.title}</span>
								<Link
									href={decision.link.href}
									aria-label={`${decision.link.label}: ${decision.title}`}
									className="whitespace-nowrap text-accent underline"
								>
									{decision.link.label}
								</Link>
							</div>
							<p className="text-sm text-soft wrap-anywhere">{decision.detail}</p>
						</li>
					))}
				</ul>
			)}
		</Panel>
	);
}

function Waiting() {
	return (
		<div role="status" aria-label="Loading">
			<h1 className="sr-only">Overview</h1>
			<Skeleton className="mb-5 h-[62px] max-w-[820px]" />
			<Skeleton className="h-[152px] rounded-xl lg:h-[76px]" />
			<div className="mt-[18px] grid gap-[18px] xl:grid-cols-[minmax(0,1.9fr)_minmax(300px,1fr)]">
				<Skeleton className="h-64 rounded-xl" />
				<Skeleton className="h-64 rounded-xl" />
			</div>
		</div>
	);
}
