"use client";
import { Field, TextField } from "../ui/field.tsx";
import { Panel } from "../ui/panel.tsx";
import { Select } from "../ui/select.tsx";
import { Switch } from "../ui/switch.tsx";
import type { JobPart } from "./job.tsx";
import { retentionRules } from "./job-draft.ts";
import { ScheduleFields } from "./schedule-fields.tsx";

const words = {
	last: "Latest",
	hourly: "Hours",
	daily: "Days",
	weekly: "Weeks",
	monthly: "Months",
	yearly: "Years",
} as const;

/** For how long points stay, when a guest is called late, and how its backups are proved. */
export function JobKeeping({ draft, set, errorOf }: JobPart) {
	return (
		<>
			<Panel title="Keep">
				<p className="mb-3 text-soft">
					The latest points, then the newest of each of the last hours, days, weeks, months and years. Protected points
					stay whatever stands here.
				</p>
				<div className="grid grid-cols-3 gap-3 sm:grid-cols-6">
					{retentionRules.map((rule) => (
						<TextField
							key={rule}
							label={words[rule]}
							inputMode="numeric"
							error={errorOf(`retention.${rule}`)}
							value={draft.retention[rule]}
							onValue={(value) => set({ retention: { ...draft.retention, [rule]: value } })}
						/>
					))}
				</div>
				{errorOf("retention") && <p className="mt-2 text-sm text-bad">{errorOf("retention")}</p>}
				<div className="mt-4 max-w-80">
					<TextField
						label="Call a guest late after"
						unit="hours"
						inputMode="decimal"
						hint="When its newest point is older, whatever the schedule says."
						error={errorOf("alertAfterMinutes")}
						value={draft.alertAfterHours}
						onValue={(alertAfterHours) => set({ alertAfterHours })}
					/>
				</div>
			</Panel>
			<Panel title="Prove">
				<div className="flex items-start justify-between gap-4">
					<div>
						<p className="font-medium">Boot each guest’s newest point</p>
						<p className="text-sm text-soft">
							Without networks, on a host that has room; thrown away after its check. The time it took is shown as the
							guest’s recovery time.
						</p>
					</div>
					<Switch label="Boot each guest’s newest point" checked={draft.drill} onChange={(drill) => set({ drill })} />
				</div>
				{draft.drill && (
					<div className="mt-4 flex flex-col gap-4">
						<ScheduleFields
							name="drill"
							schedule={draft.drillSchedule}
							onSchedule={(drillSchedule) => set({ drillSchedule })}
							timeZone={draft.timeZone}
							error={errorOf("drill.cron")}
							brief
						/>
						<div className="grid gap-4 sm:grid-cols-2">
							<Field label="It works when">
								<Select
									label="It works when"
									value={draft.drillCheck}
									choices={[
										{ value: "guestAgent", label: "its guest agent answers" },
										{ value: "serialText", label: "its serial line prints a text" },
									]}
									onValue={(value) => set({ drillCheck: value === "serialText" ? "serialText" : "guestAgent" })}
								/>
							</Field>
							{draft.drillCheck === "serialText" && (
								<TextField
									label="Text"
									error={errorOf("drill.check.text")}
									value={draft.drillText}
									onValue={(drillText) => set({ drillText })}
									maxLength={200}
									autoComplete="off"
								/>
							)}
						</div>
					</div>
				)}
			</Panel>
		</>
	);
}
