"use client";
import { formatBytes, formatPercent } from "@sterna/shared/units";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { GuestView } from "../server/views-guests.ts";
import { Panel } from "../ui/panel.tsx";
import { Chart } from "./chart.tsx";
import { useLive } from "./live.tsx";
import { ProblemNotice } from "./problem.tsx";
import { useTRPC } from "./trpc.tsx";

const hourMs = 3_600_000;
const none: never[] = [];

/** The last hour of a guest, used beside granted, continued while it is shown. */
export function GuestCharts({ guest }: { guest: GuestView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [since] = useState(() => Date.now() - hourMs);
	const input = { guestId: guest.id, since };
	const metrics = useQuery(trpc.guests.metrics.queryOptions(input, { staleTime: Number.POSITIVE_INFINITY }));
	useLive([`guest:${guest.id}`], (notice) => {
		if (notice.type !== "guestMetrics" || notice.topic !== `guest:${guest.id}`) return;
		queryClient.setQueryData(
			trpc.guests.metrics.queryKey(input),
			(before) =>
				before && {
					samples: [...before.samples.filter((sample) => sample.at > notice.sample.at - hourMs), notice.sample],
				},
		);
	});
	const samples = metrics.data?.samples ?? none;
	const perSecond = (bytes: number) => `${formatBytes(bytes)}/s`;
	return (
		<Panel title="Last hour">
			{metrics.error && <ProblemNotice error={metrics.error} onRetry={() => void metrics.refetch()} />}
			<div className="grid gap-x-6 gap-y-5 lg:grid-cols-2">
				<Chart
					label={`CPU of ${guest.vcpus} vCPU`}
					samples={samples}
					series={[{ key: "cpuUsed", label: "used", color: "accent" }]}
					format={formatPercent}
					limit={{ value: 1, label: "granted" }}
				/>
				<Chart
					label={`Memory of ${formatBytes(guest.memoryBytes)}`}
					samples={samples}
					series={[{ key: "memoryResidentBytes", label: "resident", color: "accent" }]}
					format={formatBytes}
					atLeast={guest.memoryBytes}
				/>
				<Chart
					label="Disk"
					samples={samples}
					series={[
						{ key: "diskReadBytesPerSecond", label: "read", color: "accent" },
						{ key: "diskWriteBytesPerSecond", label: "written", color: "watch", dashed: true },
					]}
					format={perSecond}
					atLeast={1024 * 1024}
				/>
				<Chart
					label="Network"
					samples={samples}
					series={[
						{ key: "networkReceiveBytesPerSecond", label: "received", color: "accent" },
						{ key: "networkTransmitBytesPerSecond", label: "sent", color: "watch", dashed: true },
					]}
					format={perSecond}
					atLeast={64 * 1024}
				/>
			</div>
		</Panel>
	);
}
