"use client";
import { SensorKind } from "@sterna/shared/health";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { FindingCard } from "../../../components/finding-card.tsx";
import { useLive } from "../../../components/live.tsx";
import { Answer } from "../../../components/page-state.tsx";
import { useTRPC } from "../../../components/trpc.tsx";
import { healthTone, sensorWord } from "../../../components/words.ts";
import { FilterInput } from "../../../table/filter-input.tsx";
import { ListFrame } from "../../../table/list-frame.tsx";
import { NothingFits, PastTheEnd } from "../../../table/nothing-fits.tsx";
import { ChoiceFilter } from "../../../table/url-filters.tsx";
import { useTableUrl } from "../../../table/url-state.ts";
import { Empty } from "../../../ui/empty.tsx";
import { Headline } from "../../../ui/headline.tsx";
import { SkeletonRows } from "../../../ui/skeleton.tsx";

const sorts = ["severity", "lastSeenAt", "host"] as const;
const states = ["open", "cleared", "released"] as const;

/** What is failing, how do we know. */
export default function HealthPage() {
	const trpc = useTRPC();
	const url = useTableUrl(sorts, { defaultDirection: "descending", pageSize: 25 });
	const state = states.find((one) => one === url.param("state")) ?? "open";
	const sensor = SensorKind.safeParse(url.param("sensor")).data;
	const findings = useQuery(
		trpc.health.list.queryOptions(
			{
				...url.request,
				state: [state],
				...(sensor ? { sensor: [sensor] } : {}),
			},
			{ placeholderData: keepPreviousData },
		),
	);
	useLive(["health"]);
	return (
		<>
			<title>Health · Sterna</title>
			<Headline
				tone={state === "open" && findings.data ? healthTone[findings.data.rows[0]?.severity ?? "healthy"] : "neutral"}
				title="Health"
				lead="What the sensors found: the reading, the rule and its threshold, since when, and what was done."
			/>
			<ListFrame
				url={url}
				total={findings.data?.total ?? 0}
				toolbar={
					<>
						<FilterInput label="Filter by part or host" value={url.filter} onValue={(filter) => url.set({ filter })} />
						<ChoiceFilter
							url={url}
							name="state"
							label="State"
							any="open"
							choices={states.slice(1).map((one) => ({ value: one, label: one }))}
							className="w-32!"
						/>
						<ChoiceFilter
							url={url}
							name="sensor"
							label="Sensor"
							any="Any sensor"
							choices={SensorKind.options.map((one) => ({ value: one, label: sensorWord[one] }))}
						/>
					</>
				}
			>
				<div className="p-4 sm:px-[18px]">
					<h2 className="sr-only">Findings</h2>
					<Answer of={findings} waiting={<SkeletonRows count={3} height="h-28" />}>
						{({ rows, total }) =>
							rows.length > 0 ? (
								<div className="rows">
									{rows.map((finding) => (
										<FindingCard key={finding.id} finding={finding} withHost />
									))}
								</div>
							) : total > 0 ? (
								<PastTheEnd url={url} />
							) : url.narrowed ? (
								<NothingFits url={url} title="No finding fits the filter." />
							) : (
								<Empty title="Nothing is wrong.">
									Memory, disks, kernel log, temperature, filesystems and links of every host are watched. What they
									find stands here first.
								</Empty>
							)
						}
					</Answer>
				</div>
			</ListFrame>
		</>
	);
}
