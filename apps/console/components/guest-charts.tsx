"use client";
import { formatBytes, formatPercent, KiB } from "@sterna/shared/units";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { GuestView } from "../server/views-guests.ts";
import { Chart } from "./chart.tsx";
import { continued, hourMs, LastHour } from "./last-hour.tsx";
import { useLive } from "./live.tsx";
import { useTRPC } from "./trpc.tsx";

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
			(before) => before && { samples: continued(before.samples, notice.sample) },
		);
	});
	const samples = metrics.data?.samples ?? none;
	return (
		<LastHour metrics={metrics} samples={samples} networkAtLeast={64 * KiB}>
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
		</LastHour>
	);
}
