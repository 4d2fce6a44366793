"use client";
import { formatBytes, formatPercent, MiB } from "@sterna/shared/units";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { HostView } from "../server/views-hosts.ts";
import { Chart } from "./chart.tsx";
import { continued, hourMs, LastHour } from "./last-hour.tsx";
import { useLive } from "./live.tsx";
import { useTRPC } from "./trpc.tsx";

const none: never[] = [];

/** The last hour of a host, continued while it is shown. */
export function HostCharts({ host }: { host: HostView }) {
	const trpc = useTRPC();
	const queryClient = useQueryClient();
	const [since] = useState(() => Date.now() - hourMs);
	const input = { hostId: host.id, since };
	const metrics = useQuery(trpc.hosts.metrics.queryOptions(input, { staleTime: Number.POSITIVE_INFINITY }));
	useLive([`host:${host.id}`], (notice) => {
		if (notice.type !== "hostMetrics" || notice.topic !== `host:${host.id}`) return;
		queryClient.setQueryData(
			trpc.hosts.metrics.queryKey(input),
			(before) => before && { samples: continued(before.samples, notice.sample) },
		);
	});
	const samples = metrics.data?.samples ?? none;
	return (
		<LastHour metrics={metrics} samples={samples} networkAtLeast={MiB}>
			<Chart
				label="CPU"
				samples={samples}
				series={[
					{ key: "cpuUsed", label: "used", color: "accent" },
					{ key: "cpuPressure", label: "pressure", color: "watch", dashed: true },
				]}
				format={formatPercent}
				limit={{ value: 1, label: "all CPUs" }}
			/>
			<Chart
				label="Memory"
				samples={samples}
				series={[{ key: "memoryUsedBytes", label: "used", color: "accent" }]}
				format={formatBytes}
				{...(host.memoryTotalBytes ? { limit: { value: host.memoryTotalBytes, label: "installed" } } : {})}
			/>
		</LastHour>
	);
}
