import { MigrationPhase, type MigrationReport } from "@sterna/shared/migration";
import { formatDuration } from "@sterna/shared/units";
import { clsx } from "clsx";
import { Check, Circle, CircleDot, X } from "lucide-react";
import { hasReached, type Standing, standingOf } from "./migration-standing.ts";
import { phaseWords } from "./words.ts";

interface MigrationLineProps {
	report: MigrationReport | null;
	now: number;
}

/** The phases of a move in a line, how long each took, and the point from which there is no way back. */
export function MigrationLine({ report, now }: MigrationLineProps) {
	const released = report !== null && hasReached(report, "handOver");
	return (
		<div>
			<ol className="grid gap-y-3 md:grid-cols-6 md:gap-x-3.5 md:pt-4">
				{MigrationPhase.options.map((phase) => {
					const standing = standingOf(phase, report);
					const timing = report?.phases.find((one) => one.phase === phase);
					return (
						<li
							key={phase}
							aria-current={standing === "now" ? "step" : undefined}
							className={clsx(
								"relative flex gap-2.5 md:flex-col md:gap-1.5",
								phase === "handOver" && "max-md:border-t max-md:border-dashed max-md:border-line-strong max-md:pt-3",
							)}
						>
							{phase === "handOver" && (
								<span
									aria-hidden
									className="absolute -top-5 -left-2 hidden h-[calc(100%+1.25rem)] border-l-2 border-dashed border-line-strong pl-1.5 text-[0.75rem] leading-none whitespace-nowrap text-soft md:block"
								>
									commit point
								</span>
							)}
							<div className="flex items-center gap-2">
								<PhaseIcon standing={standing} />
								<div
									aria-hidden
									className={clsx(
										"hidden h-0.5 flex-1 rounded md:block",
										standing === "done" ? "bg-accent" : "bg-track",
									)}
								/>
							</div>
							<div className="min-w-0 max-md:flex-1">
								<div
									className={clsx(
										"font-medium",
										standing === "ahead" || standing === "skipped" ? "text-faint" : "text-ink",
									)}
								>
									{phaseWords[phase].name}
									<span className="sr-only"> ({standing})</span>
								</div>
								<div className="text-sm text-soft">
									{timing
										? formatDuration(Math.max(0, (timing.endedAt ?? report?.endedAt ?? now) - timing.startedAt))
										: standing === "skipped"
											? "not needed"
											: "–"}
								</div>
							</div>
						</li>
					);
				})}
			</ol>
			<p className="mt-3 text-sm text-soft">
				{!report ? "Waiting for the source to begin. " : report.endedAt === null && `${phaseWords[report.phase].what} `}
				{released
					? "The commit point is passed: the guest belongs to the target."
					: "The dashed line is the commit point: before it, any failure or a cancel leaves the guest running on the source."}
			</p>
		</div>
	);
}

function PhaseIcon({ standing }: { standing: Standing }) {
	const size = "size-5 shrink-0";
	switch (standing) {
		case "done":
			return <Check aria-hidden className={clsx(size, "rounded-full bg-accent p-0.5 text-on-accent")} />;
		case "now":
			return <CircleDot aria-hidden className={clsx(size, "text-accent")} />;
		case "stopped":
			return <X aria-hidden className={clsx(size, "rounded-full bg-bad-soft p-0.5 text-bad")} />;
		case "ahead":
		case "skipped":
			return <Circle aria-hidden className={clsx(size, "text-line-strong")} />;
	}
}
