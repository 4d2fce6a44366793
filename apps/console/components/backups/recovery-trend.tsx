"use client";
import { formatDuration } from "@sterna/shared/units";
import { useQuery } from "@tanstack/react-query";
import { Panel } from "../../ui/panel.tsx";
import { Chart } from "../chart.tsx";
import { Answer } from "../page-state.tsx";
import { useTRPC } from "../trpc.tsx";

/** How long a guest took to come back, drill after drill. */
export function RecoveryTrend({ guestId }: { guestId: string }) {
	const drills = useQuery(
		useTRPC().restores.list.queryOptions({ guestId, mode: ["drill"], state: ["completed"], pageSize: 60 }),
	);
	return (
		<Panel title="Recovery time, measured by drills">
			<Answer of={drills} waiting={<div className="h-[132px] rounded-lg bg-sunken" />}>
				{({ rows }) => (
					<Chart
						label="From the beginning"
						samples={rows
							.map(({ startedAt, bootedAfterMs, provedAfterMs }) => ({ at: startedAt, bootedAfterMs, provedAfterMs }))
							.reverse()}
						series={[
							{ key: "provedAfterMs", label: "works", color: "accent" },
							{ key: "bootedAfterMs", label: "runs", color: "faint", dashed: true },
						]}
						format={formatDuration}
						atLeast={1000}
						topOf={roundDuration}
					/>
				)}
			</Answer>
		</Panel>
	);
}

const secondMs = 1000;
const minuteMs = 60_000;
const steps = [2, 10, 20, 60, 120, 600, 1200, 3600].map((seconds) => seconds * secondMs);

/** The next length of time whose half is one that people say, too. */
function roundDuration(highestMs: number): number {
	return steps.find((step) => step >= highestMs) ?? Math.ceil(highestMs / (120 * minuteMs)) * 120 * minuteMs;
}
