"use client";
import { formatBytes, formatDuration } from "@sterna/shared/units";
import { ProblemNotice } from "../components/problem.tsx";
import { Refusals } from "../components/refusals.tsx";
import { ended, statement } from "../components/words.ts";
import type { RestorePlan } from "../server/views-backups.ts";
import { Pair } from "../ui/meter.tsx";
import { Panel } from "../ui/panel.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";

interface RestorePlanPanelProps {
	plan: RestorePlan | undefined;
	error: unknown;
	onRetry: () => void;
	missing: string | null;
}

/** What the restore will do, what stands in its way, how long, and how to undo it. */
export function RestorePlanPanel({ plan, error, onRetry, missing }: RestorePlanPanelProps) {
	return (
		<Panel title="What will happen">
			{missing ? (
				<p className="text-soft">The plan appears when the form is complete: {missing}.</p>
			) : error ? (
				<ProblemNotice error={error} onRetry={onRetry} />
			) : !plan ? (
				<SkeletonRows count={5} height="h-8" />
			) : (
				<div className="flex flex-col gap-4">
					{plan.refusals.length > 0 ? (
						<section aria-label="What stands in the way">
							<h3 className="mb-1.5 text-sm font-semibold text-soft">What stands in the way</h3>
							<Refusals refusals={plan.refusals} />
						</section>
					) : (
						<ol className="list-decimal space-y-1 pl-5 marker:text-faint">
							{plan.steps.map((step) => (
								<li key={step} className="wrap-anywhere">
									{statement(step)}
								</li>
							))}
						</ol>
					)}
					<dl className="rows">
						<Pair label="To copy">{formatBytes(plan.copyBytes)}</Pair>
						<Pair label="Expected duration">
							{plan.predictedDurationMs === null
								? "not known before the first restore"
								: `about ${formatDuration(plan.predictedDurationMs)}`}
						</Pair>
						<Pair label="Guest">{plan.spec.name}</Pair>
						<Pair label="Networks">{plan.spec.nics.map(({ network }) => network).join(", ") || "none"}</Pair>
					</dl>
					<p className="text-soft">
						<span className="font-medium text-ink">To undo: </span>
						{ended(plan.undo)}
					</p>
				</div>
			)}
		</Panel>
	);
}
