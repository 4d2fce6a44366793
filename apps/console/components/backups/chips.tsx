import type { Consistency, RestoreMode } from "@sterna/shared/backup";
import {
	Ban,
	CircleAlert,
	CircleCheck,
	CircleDashed,
	Clock,
	Eye,
	Hourglass,
	LoaderCircle,
	LockKeyhole,
	OctagonX,
	ShieldCheck,
	ShieldOff,
	Undo2,
	Unplug,
} from "lucide-react";
import type { PointRow, Protection, RepositoryHealth, RestoreRow, RunRow } from "../../server/views-backups.ts";
import { Chip } from "../../ui/chip.tsx";
import { Tooltip } from "../../ui/tooltip.tsx";
import { consistencyWords, modeWord, protectionTone, repositoryTone, restoreTone, runTone } from "./words.ts";

const icon = "size-3.5 shrink-0";

const protectionIcons = {
	protected: <ShieldCheck aria-hidden className={icon} />,
	late: <Clock aria-hidden className={icon} />,
	unprotected: <ShieldOff aria-hidden className={icon} />,
	failing: <CircleAlert aria-hidden className={icon} />,
	damaged: <OctagonX aria-hidden className={icon} />,
};

export function ProtectionChip({ state }: { state: Protection["state"] }) {
	return (
		<Chip tone={protectionTone[state]}>
			{protectionIcons[state]}
			{state}
		</Chip>
	);
}

const repositoryIcons = {
	healthy: <CircleCheck aria-hidden className={icon} />,
	watch: <Eye aria-hidden className={icon} />,
	damaged: <OctagonX aria-hidden className={icon} />,
	unreachable: <Unplug aria-hidden className={icon} />,
	full: <CircleAlert aria-hidden className={icon} />,
};

export function RepositoryHealthChip({ health }: { health: RepositoryHealth }) {
	return (
		<Chip tone={repositoryTone[health]}>
			{repositoryIcons[health]}
			{health}
		</Chip>
	);
}

const stateIcons = {
	scheduled: <CircleDashed aria-hidden className={icon} />,
	running: <LoaderCircle aria-hidden className={icon} />,
	waiting: <Hourglass aria-hidden className={icon} />,
	undoing: <Undo2 aria-hidden className={icon} />,
	completed: <CircleCheck aria-hidden className={icon} />,
	failed: <CircleAlert aria-hidden className={icon} />,
	cancelled: <Ban aria-hidden className={icon} />,
	missed: <Clock aria-hidden className={icon} />,
};

export function RunStateChip({ state }: { state: RunRow["state"] }) {
	return (
		<Chip tone={runTone[state]}>
			{stateIcons[state]}
			{state}
		</Chip>
	);
}

export function RestoreStateChip({ state }: { state: RestoreRow["state"] }) {
	return (
		<Chip tone={restoreTone[state]}>
			{stateIcons[state]}
			{state}
		</Chip>
	);
}

export function ModeChip({ mode }: { mode: RestoreMode }) {
	return <Chip>{modeWord[mode]}</Chip>;
}

/** How the point fits together inside, with what that means on hover and focus. */
export function ConsistencyChip({ consistency, remark }: { consistency: Consistency; remark: string | null }) {
	const { word, meaning, tone } = consistencyWords[consistency];
	const text = remark ? `${meaning} ${remark}` : meaning;
	return (
		<Tooltip text={text}>
			<button type="button" className="rounded-full">
				<Chip tone={tone}>{word}</Chip>
				<span className="sr-only">: {text}</span>
			</button>
		</Tooltip>
	);
}

/** What is special about a point: damaged, proved or not, protected. */
export function PointMarks({ point }: { point: PointRow }) {
	return (
		<span className="flex flex-wrap items-center gap-1">
			{point.damage && (
				<Chip tone="bad">
					<OctagonX aria-hidden className={icon} />
					damaged
				</Chip>
			)}
			{point.proof && (
				<Chip tone={point.proof.ok ? "ok" : "bad"}>
					{point.proof.ok ? <ShieldCheck aria-hidden className={icon} /> : <CircleAlert aria-hidden className={icon} />}
					{point.proof.ok ? "proved by a drill" : "drill failed"}
				</Chip>
			)}
			{point.protectedBy && (
				<Chip tone="accent">
					<LockKeyhole aria-hidden className={icon} />
					protected
				</Chip>
			)}
		</span>
	);
}
