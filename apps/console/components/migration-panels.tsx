"use client";
import type { MigrationReport } from "@sterna/shared/migration";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import type { MigrationView } from "../server/views-migrations.ts";
import { Meter, Pair } from "../ui/meter.tsx";
import { Panel } from "../ui/panel.tsx";
import { Chart } from "./chart.tsx";
import { amountOf } from "./words.ts";

/** One reading of the memory copy, as it arrived while the page was open. */
export interface CopySample {
	at: number;
	remainingBytes: number;
	dirtyBytesPerSecond: number;
	bytesPerSecond: number;
	passes: number;
}

const perSecond = (bytes: number) => `${formatBytes(bytes)}/s`;

/** What has been copied, what is left, and whether the copy is faster than the guest writes. */
export function CopyPanel({ report, samples }: { report: MigrationReport | null; samples: readonly CopySample[] }) {
	const memory = report?.memory ?? null;
	const disk = report?.disk ?? null;
	/** The last reading was taken before the pause; a completed move has sent the rest. */
	const isWhole = report?.state === "completed";
	const live = report?.state === "running" || samples.length > 1;
	return (
		<Panel title="Copying">
			<div className="flex flex-col gap-4">
				{disk && (
					<Meter
						label="Disks"
						tone="accent"
						share={disk.totalBytes === 0 ? 1 : disk.transferredBytes / disk.totalBytes}
						text={amountOf(disk.transferredBytes, disk.totalBytes)}
					/>
				)}
				{memory && (
					<Meter
						label={`Memory, pass ${memory.passes}`}
						tone="accent"
						share={isWhole || memory.totalBytes === 0 ? 1 : 1 - memory.remainingBytes / memory.totalBytes}
						text={`${isWhole ? "" : `${formatBytes(memory.remainingBytes)} left, `}${formatBytes(memory.transferredBytes)} sent`}
					/>
				)}
				{!disk && report && (
					<p className="text-sm text-soft">
						{report.phase === "prepareTarget" && report.state === "running"
							? "What has to be copied is known when the target is prepared."
							: "No disk has to be copied: they are shared, or there are none."}
					</p>
				)}
				{!report && <p className="text-soft">The source has not answered yet.</p>}
				{live && (
					<div className="grid gap-x-6 gap-y-5 lg:grid-cols-2">
						<Chart
							label="Memory left"
							samples={samples}
							series={[{ key: "remainingBytes", label: "left", color: "accent" }]}
							format={formatBytes}
							atLeast={1024 * 1024}
						/>
						<Chart
							label="Written against copied"
							samples={samples}
							series={[
								{ key: "bytesPerSecond", label: "link", color: "accent" },
								{ key: "dirtyBytesPerSecond", label: "guest writes", color: "watch", dashed: true },
							]}
							format={perSecond}
							atLeast={1024 * 1024}
						/>
					</div>
				)}
			</div>
		</Panel>
	);
}

/** What the move promises: how long the guest may be paused, and what happens when the copy does not catch up. */
export function Convergence({ move }: { move: MigrationView }) {
	const memory = move.report?.memory;
	/** QEMU learns what the guest rewrites at the end of a pass; a 0 before that says nothing. */
	const isMeasured = memory != null && (memory.passes > 1 || memory.dirtyBytesPerSecond > 0);
	return (
		<Panel title="If it does not converge">
			<p className="mb-2">
				{move.autoConverge
					? "The guest’s CPUs are slowed down until the copy catches up. If that is not enough within the pause below, the move is undone."
					: "The move is undone; the guest runs on where it is."}
			</p>
			<dl className="rows">
				<Pair label="Longest pause allowed">{formatDuration(move.maxDowntimeMs)}</Pair>
				{memory && (
					<Pair label="Guest writes">
						{isMeasured ? perSecond(memory.dirtyBytesPerSecond) : "measured from pass 2 on"}
					</Pair>
				)}
				{memory && <Pair label="Link carries">{perSecond(memory.bytesPerSecond)}</Pair>}
			</dl>
			{memory && isMeasured && memory.bytesPerSecond > 0 && move.state === "running" && (
				<p className="mt-2 min-h-[2.9em] text-sm text-soft">
					{memory.dirtyBytesPerSecond < memory.bytesPerSecond
						? "The copy is faster than the guest writes: it converges."
						: "The guest writes faster than the copy: it does not converge at this moment."}
				</p>
			)}
		</Panel>
	);
}
