"use client";
import { TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { Switch } from "../ui/switch.tsx";
import type { JobPart } from "./job.tsx";

/** How hard the job may try, and what it may cost the guests. */
export function JobPace({ draft, set, errorOf }: JobPart) {
	return (
		<Panel title="How">
			<div className="grid gap-4 sm:grid-cols-2">
				<TextField
					label="Begin within"
					unit="minutes"
					inputMode="numeric"
					hint="Later than that, the run counts as missed."
					error={errorOf("startWithinMinutes")}
					value={draft.startWithinMinutes}
					onValue={(startWithinMinutes) => set({ startWithinMinutes })}
				/>
				<TextField
					label="At most"
					unit="MiB/s"
					inputMode="decimal"
					hint="Empty for no limit. The guest’s own disk latency slows a run anyway."
					error={errorOf("bytesPerSecond")}
					value={draft.mibPerSecond}
					onValue={(mibPerSecond) => set({ mibPerSecond })}
				/>
				<TextField
					label="Try again"
					unit="times"
					inputMode="numeric"
					error={errorOf("retries")}
					value={draft.retries}
					onValue={(retries) => set({ retries })}
				/>
				<TextField
					label="After"
					unit="minutes"
					inputMode="numeric"
					error={errorOf("retryAfterMinutes")}
					value={draft.retryAfterMinutes}
					onValue={(retryAfterMinutes) => set({ retryAfterMinutes })}
				/>
				<TextField
					label="At once on a host"
					unit="guests"
					inputMode="numeric"
					error={errorOf("atOncePerHost")}
					value={draft.atOncePerHost}
					onValue={(atOncePerHost) => set({ atOncePerHost })}
				/>
				<TextField
					label="At once to the repository"
					unit="guests"
					inputMode="numeric"
					error={errorOf("atOncePerRepository")}
					value={draft.atOncePerRepository}
					onValue={(atOncePerRepository) => set({ atOncePerRepository })}
				/>
			</div>
			<div className="mt-4 flex items-start justify-between gap-4">
				<div>
					<p className="font-medium">Hold the file systems still for the instant</p>
					<p className="text-sm text-soft">
						By the guest agent, where there is one. Without, a point is as after a power cut.
					</p>
				</div>
				<Switch
					label="Hold the file systems still for the instant"
					checked={draft.freeze}
					onChange={(freeze) => set({ freeze })}
				/>
			</div>
		</Panel>
	);
}
