"use client";
import { formatDuration } from "@sterna/shared/units";
import { useNow } from "../ui/time.tsx";

/** How long something has been running; counts on while it is shown. */
export function Uptime({ startedAt }: { startedAt: number | null }) {
	const now = useNow();
	if (startedAt === null) return <>–</>;
	return <>{formatDuration(Math.max(0, Math.floor((now - startedAt) / 1000) * 1000))}</>;
}
