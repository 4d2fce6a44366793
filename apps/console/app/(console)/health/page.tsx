"use client";
import { SensorKind } from "@sterna/shared/health";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { FindingCard } from "../../../components/finding-card.tsx";
import { useLive } from "../../../components/live.tsx";
import { Answer } from "../../../components/page-state.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { healthTone, sensorWord } from "../../../components/words.ts";
import { FilterInput } from "../../../table/filter-input.tsx";
import { Pager } from "../../../table/pager.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";
import { Headline } from "../../../ui/headline.tsx";
import { Select } from "../../../ui/select.tsx";
import { SkeletonRows } from "../../../ui/skeleton.tsx";

const pageSize = 25;
const states = ["open", "cleared", "released"] as const;

/** What is failing, how do we know. */
export default function HealthPage() {
	const trpc = useTRPC();
	const url = useTableUrl(["severity", "lastSeenAt", "host"], "descending");
	const state = states.find((one) => one === url.param("state")) ?? "open";
	const sensor = SensorKind.safeParse(url.param("sensor")).data;
	const findings = useQuery(
		trpc.health.list.queryOptions(
			{
				page: url.page,
				pageSize,
				sort: url.sort,
				direction: url.direction,
				filter: url.filter,
				state: [state],
				...(sensor ? { sensor: [sensor] } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["health"]);
	const total = findings.data?.total ?? 0;
	return (
		<>
			<title>Health · Sterna</title>
			<Headline
				tone={state === "open" && findings.data ? healthTone[findings.data.rows[0]?.severity ?? "healthy"] : "neutral"}
				title="Health"
				lead="What the sensors found: the reading, the rule and its threshold, since when, and what was done."
			/>
			<div className="rounded-xl border border-line bg-panel">
				<div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2.5">
					<FilterInput label="Filter by part or host" value={url.filter} onValue={(filter) => url.set({ filter })} />
					<Select
						label="State"
						value={state}
						choices={states.map((one) => ({ value: one, label: one }))}
						onValue={(value) => url.set({ state: value === "open" ? "" : value })}
						className="w-32!"
					/>
					<Select
						label="Sensor"
						value={sensor ?? "any"}
						choices={[
							{ value: "any", label: "Any sensor" },
							...SensorKind.options.map((one) => ({ value: one, label: sensorWord[one] })),
						]}
						onValue={(value) => url.set({ sensor: value === "any" ? "" : value })}
						className="w-36!"
					/>
				</div>
				<div className="p-4 sm:px-[18px]">
					<h2 className="sr-only">Findings</h2>
					<Answer of={findings} waiting={<SkeletonRows count={3} height="h-28" />}>
						{({ rows }) =>
							rows.length === 0 ? (
								url.filter || sensor || state !== "open" ? (
									<Empty title="No finding fits the filter.">Take something out of it.</Empty>
								) : (
									<Empty title="Nothing is wrong.">
										Memory, disks, kernel log, temperature, filesystems and links of every host are watched. What they
										find stands here first.
									</Empty>
								)
							) : (
								<div className="rows">
									{rows.map((finding) => (
										<FindingCard key={finding.id} finding={finding} withHost />
									))}
								</div>
							)
						}
					</Answer>
				</div>
				<Pager page={url.page} pageSize={pageSize} total={total} onPage={(page) => url.set({ page })} />
			</div>
		</>
	);
}
