"use client";
import { formatBytes } from "@sterna/shared/units";
import { readSentence } from "../components/backups/words.ts";
import { ProblemNotice } from "../components/problem.tsx";
import { Refusals } from "../components/refusals.tsx";
import { sentence } from "../components/words.ts";
import type { JobPreview } from "../server/views-backups.ts";
import { Notice } from "../ui/notice.tsx";
import { Panel } from "../ui/panel.tsx";
import { SkeletonRows } from "../ui/skeleton.tsx";
import { ZonedTime } from "../ui/zoned-time.tsx";

interface JobPreviewPanelProps {
	preview: JobPreview | undefined;
	error: unknown;
	onRetry: () => void;
	/** What the form still lacks; null when it is complete. */
	missing: string | null;
	timeZone: string;
	/** The job is there already: what would be different matters. */
	changes: boolean;
}

const shown = 12;

/** What the job would do if it were saved as it stands. */
export function JobPreviewPanel({ preview, error, onRetry, missing, timeZone, changes }: JobPreviewPanelProps) {
	return (
		<Panel title="What it would do">
			{missing && !preview ? (
				<p className="text-soft">The preview appears when the form is complete: {missing}.</p>
			) : error ? (
				<ProblemNotice error={error} onRetry={onRetry} />
			) : !preview ? (
				<SkeletonRows count={5} height="h-8" />
			) : (
				<div className="flex flex-col gap-4">
					{missing && <p className="text-sm text-soft">As it was before the last change: {missing}.</p>}
					{preview.warnings.map((warning) => (
						<Notice key={warning} tone="watch" title={sentence(warning)} />
					))}
					<Reads preview={preview} />
					<Times at={preview.nextRuns} timeZone={timeZone} />
					<Removals preview={preview} changes={changes} timeZone={timeZone} />
				</div>
			)}
		</Panel>
	);
}

function Reads({ preview }: { preview: JobPreview }) {
	if (preview.guests.length === 0) return <p>No guest matches now; the job would do nothing.</p>;
	const plans = new Map(preview.plans.map(({ guest, plan }) => [guest.id, plan]));
	return (
		<section aria-label="Guests and what is read of each">
			<h3 className="mb-1 text-sm font-semibold text-soft">The next run reads</h3>
			<ul className="rows">
				{preview.guests.slice(0, shown).map((guest) => {
					const plan = plans.get(guest.id) ?? null;
					const bytes = plan?.volumes.reduce((sum, { readBytes }) => sum + readBytes, 0);
					return (
						<li key={guest.id} className="py-2">
							<div className="flex justify-between gap-3">
								<span className="min-w-0 wrap-anywhere">
									<b>{guest.name}</b> <span className="text-soft">on {guest.host.name}</span>
								</span>
								<span className="whitespace-nowrap">
									{bytes === undefined ? "–" : formatBytes(bytes)}
									<span className="text-soft"> of {formatBytes(guest.diskBytes)}</span>
								</span>
							</div>
							{plan && plan.refusals.length > 0 ? (
								<div className="mt-1">
									<Refusals refusals={plan.refusals} />
								</div>
							) : (
								<p className="text-sm text-soft">
									{plan ? readSentence(plan.volumes) : "Its host did not answer; what is read is not known."}
								</p>
							)}
						</li>
					);
				})}
			</ul>
			{preview.guests.length > shown && <p className="text-sm text-soft">And {preview.guests.length - shown} more.</p>}
		</section>
	);
}

function Times({ at, timeZone }: { at: readonly number[]; timeZone: string }) {
	const [first] = at;
	return (
		<p>
			<span className="text-soft">First run: </span>
			{first === undefined ? "never; no such day exists" : <ZonedTime at={first} timeZone={timeZone} />}
		</p>
	);
}

function Removals({ preview, changes, timeZone }: { preview: JobPreview; changes: boolean; timeZone: string }) {
	const { wouldRemove, wouldKeep } = preview;
	if (wouldRemove.length === 0) {
		return (
			<p>
				<span className="text-soft">Points: </span>
				{wouldKeep === 0 ? "there are none yet; nothing is removed." : `all ${wouldKeep} stay.`}
			</p>
		);
	}
	return (
		<Notice
			tone="warn"
			title={`${wouldRemove.length} recovery ${wouldRemove.length === 1 ? "point" : "points"} would be removed${changes ? " that stay under the job as it is" : ""}; ${wouldKeep} stay.`}
		>
			<ul className="mt-1 max-h-40 overflow-y-auto text-soft">
				{wouldRemove.slice(0, 100).map(({ guest, pointId, takenAt }) => (
					<li key={pointId}>
						{guest.name}, <ZonedTime at={takenAt} timeZone={timeZone} />
					</li>
				))}
				{wouldRemove.length > 100 && <li>And {wouldRemove.length - 100} more.</li>}
			</ul>
		</Notice>
	);
}
