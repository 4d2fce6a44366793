import { BackupJobSpec, type Retention, type Selection } from "@sterna/backup/job";
import { MiB } from "@sterna/shared/units";
import { cronOf, freshSchedule, type ScheduleDraft, scheduleOf } from "./schedule-draft.ts";

export const retentionRules = ["last", "hourly", "daily", "weekly", "monthly", "yearly"] as const;

/** The job's form as it stands, half filled or not. Numbers are the text in their fields. */
export interface JobDraft {
	name: string;
	enabled: boolean;
	repositoryId: string;
	by: Selection["by"];
	guestIds: readonly string[];
	/** Words with spaces or commas between. */
	tags: string;
	pool: string;
	schedule: ScheduleDraft;
	timeZone: string;
	startWithinMinutes: string;
	retries: string;
	retryAfterMinutes: string;
	atOncePerHost: string;
	atOncePerRepository: string;
	/** Empty for no limit. */
	mibPerSecond: string;
	freeze: boolean;
	retention: Readonly<Record<keyof Retention, string>>;
	alertAfterHours: string;
	drill: boolean;
	drillSchedule: ScheduleDraft;
	drillCheck: "guestAgent" | "serialText";
	drillText: string;
}

/** A week of days, a month of weeks, a year of months: what most need, changed by those who need another. */
export function freshJob(timeZone: string): JobDraft {
	return {
		name: "",
		enabled: true,
		repositoryId: "",
		by: "all",
		guestIds: [],
		tags: "",
		pool: "",
		schedule: freshSchedule,
		timeZone,
		startWithinMinutes: "240",
		retries: "2",
		retryAfterMinutes: "10",
		atOncePerHost: "1",
		atOncePerRepository: "4",
		mibPerSecond: "",
		freeze: true,
		retention: { last: "0", hourly: "0", daily: "7", weekly: "4", monthly: "12", yearly: "0" },
		alertAfterHours: "26",
		drill: false,
		drillSchedule: { ...freshSchedule, every: "week", time: "06:00", weekday: "6" },
		drillCheck: "guestAgent",
		drillText: "",
	};
}

/** The form of a job that is there. */
export function draftOf(spec: BackupJobSpec): JobDraft {
	const { selection, retention, drill } = spec;
	return {
		...freshJob(spec.timeZone),
		name: spec.name,
		enabled: spec.enabled,
		repositoryId: spec.repositoryId,
		by: selection.by,
		guestIds: selection.by === "guests" ? selection.guestIds : [],
		tags: selection.by === "tags" ? selection.tags.join(" ") : "",
		pool: selection.by === "pool" ? selection.pool : "",
		schedule: scheduleOf(spec.cron),
		startWithinMinutes: String(spec.startWithinMinutes),
		retries: String(spec.retries),
		retryAfterMinutes: String(spec.retryAfterMinutes),
		atOncePerHost: String(spec.atOncePerHost),
		atOncePerRepository: String(spec.atOncePerRepository),
		mibPerSecond: spec.bytesPerSecond === null ? "" : String(spec.bytesPerSecond / MiB),
		freeze: spec.freeze,
		retention: {
			last: String(retention.last),
			hourly: String(retention.hourly),
			daily: String(retention.daily),
			weekly: String(retention.weekly),
			monthly: String(retention.monthly),
			yearly: String(retention.yearly),
		},
		alertAfterHours: String(spec.alertAfterMinutes / 60),
		...(drill
			? {
					drill: true,
					drillSchedule: scheduleOf(drill.cron),
					drillCheck: drill.check.kind,
					drillText: drill.check.kind === "serialText" ? drill.check.text : "",
				}
			: {}),
	};
}

/** Fields of the form that can be wrong, by the place in the specification that they fill. */
export type JobErrors = Partial<Record<string, string>>;

/** The specification that the form means, or what is wrong per field: the server's own schema decides. */
export function specOf(
	draft: JobDraft,
): { spec: BackupJobSpec; errors: JobErrors } | { spec: null; errors: JobErrors } {
	const { retention } = draft;
	const parsed = BackupJobSpec.safeParse({
		name: draft.name,
		enabled: draft.enabled,
		repositoryId: draft.repositoryId,
		selection: selectionOf(draft),
		cron: cronOf(draft.schedule),
		timeZone: draft.timeZone,
		startWithinMinutes: numberOf(draft.startWithinMinutes),
		retries: numberOf(draft.retries),
		retryAfterMinutes: numberOf(draft.retryAfterMinutes),
		atOncePerHost: numberOf(draft.atOncePerHost),
		atOncePerRepository: numberOf(draft.atOncePerRepository),
		bytesPerSecond: draft.mibPerSecond.trim() === "" ? null : Math.round(numberOf(draft.mibPerSecond) * MiB),
		freeze: draft.freeze,
		retention: {
			last: numberOf(retention.last),
			hourly: numberOf(retention.hourly),
			daily: numberOf(retention.daily),
			weekly: numberOf(retention.weekly),
			monthly: numberOf(retention.monthly),
			yearly: numberOf(retention.yearly),
		},
		alertAfterMinutes: Math.round(numberOf(draft.alertAfterHours) * 60),
		drill: draft.drill
			? {
					cron: cronOf(draft.drillSchedule),
					check:
						draft.drillCheck === "serialText" ? { kind: "serialText", text: draft.drillText } : { kind: "guestAgent" },
				}
			: null,
	});
	if (parsed.success) return { spec: parsed.data, errors: {} };
	const errors: JobErrors = {};
	for (const issue of parsed.error.issues) {
		const field = issue.path.join(".");
		errors[field] ??= plainWords[field] ?? issue.message;
	}
	return { spec: null, errors };
}

/** Where the schema's words speak of its types, the form's speak of the field. */
const plainWords: JobErrors = {
	repositoryId: "choose a repository",
	"selection.guestIds": "choose at least one guest",
	"selection.tags": "write at least one tag",
	"selection.pool": "choose a pool",
	startWithinMinutes: "minutes from 1 to 10080",
	retries: "a whole number from 0 to 10",
	retryAfterMinutes: "minutes from 1 to 1440",
	atOncePerHost: "a whole number from 1 to 16",
	atOncePerRepository: "a whole number from 1 to 100",
	bytesPerSecond: "at least 1 MiB/s, or empty for no limit",
	alertAfterMinutes: "hours from 0.1 to 8784",
	"retention.last": "0 to 1000",
	"retention.hourly": "0 to 1000",
	"retention.daily": "0 to 1000",
	"retention.weekly": "0 to 1000",
	"retention.monthly": "0 to 1000",
	"retention.yearly": "0 to 1000",
	"drill.check.text": "write the text that the guest prints when it works",
};

function selectionOf(draft: JobDraft): unknown {
	switch (draft.by) {
		case "all":
			return { by: "all" };
		case "guests":
			return { by: "guests", guestIds: draft.guestIds };
		case "tags":
			return { by: "tags", tags: tagsOf(draft.tags) };
		case "pool":
			return { by: "pool", pool: draft.pool };
	}
}

/** The words between spaces and commas, each once. */
export function tagsOf(text: string): string[] {
	return [...new Set(text.split(/[\s,]+/).filter(Boolean))];
}

/** NaN for what is no number, which every schema refuses. */
function numberOf(text: string): number {
	return text.trim() === "" ? Number.NaN : Number(text);
}
