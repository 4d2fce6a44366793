"use client";
import { formatBytes, MiB } from "@sterna/shared/units";
import type { ReactNode } from "react";
import { useEffect, useRef } from "react";
import { Panel } from "../ui/panel.tsx";
import { Chart } from "./chart.tsx";
import { useLinkState } from "./link-state.ts";
import { ProblemNotice } from "./problem.tsx";

export const hourMs = 3_600_000;

/** With a new reading at its end, and without what is older than the hour before it. */
export function continued<Sample extends { at: number }>(before: readonly Sample[], next: Sample): Sample[] {
	return [...before.filter(({ at }) => at > next.at - hourMs), next];
}

interface Traffic {
	at: number;
	diskReadBytesPerSecond: number;
	diskWriteBytesPerSecond: number;
	networkReceiveBytesPerSecond: number;
	networkTransmitBytesPerSecond: number;
}

interface LastHourProps {
	/** The answer to the question for the readings. */
	metrics: { error: unknown; refetch: () => unknown };
	samples: readonly Traffic[];
	/** Upper end of the network's scale when the readings stay below it. */
	networkAtLeast: number;
	/** Charts that stand before those of disk and network: processor and memory. */
	children: ReactNode;
}

/** The last hour of a guest or a host in charts, continued while it is shown. */
export function LastHour({ metrics, samples, networkAtLeast, children }: LastHourProps) {
	const link = useLinkState();
	const wasLost = useRef(false);
	const { refetch } = metrics;
	/** What was read while the line was down was not heard. */
	useEffect(() => {
		if (link === "live" && wasLost.current) void refetch();
		wasLost.current = link === "lost";
	}, [link, refetch]);
	return (
		<Panel title="Last hour">
			{Boolean(metrics.error) && <ProblemNotice error={metrics.error} onRetry={() => void metrics.refetch()} />}
			<div className="grid gap-x-6 gap-y-5 lg:grid-cols-2">
				{children}
				<Chart
					label="Disk"
					samples={samples}
					series={[
						{ key: "diskReadBytesPerSecond", label: "read", color: "accent" },
						{ key: "diskWriteBytesPerSecond", label: "written", color: "watch", dashed: true },
					]}
					format={perSecond}
					atLeast={MiB}
				/>
				<Chart
					label="Network"
					samples={samples}
					series={[
						{ key: "networkReceiveBytesPerSecond", label: "received", color: "accent" },
						{ key: "networkTransmitBytesPerSecond", label: "sent", color: "watch", dashed: true },
					]}
					format={perSecond}
					atLeast={networkAtLeast}
				/>
			</div>
		</Panel>
	);
}

function perSecond(bytes: number): string {
	return `${formatBytes(bytes)}/s`;
}
