import { clsx } from "clsx";
import type { ReactNode } from "react";
import { fillTone, type Tone } from "./tone.ts";

interface MeterProps {
	label: string;
	/** 0 to 1; null while unknown. */
	share: number | null;
	/** What stands at the end of the line above the bar, and what a screen reader says. */
	text: string;
	tone?: Tone;
	/** A second point on the same scale, 0 to 1: what would be used if something happened. */
	mark?: { share: number; meaning: string } | undefined;
	/** Leaves the line of words out; the label is still read. */
	bare?: boolean;
	className?: string;
}

/** A share of a whole as a bar with its words. */
export function Meter({ label, share, text, tone = "neutral", mark, bare = false, className }: MeterProps) {
	const width = percent(share ?? 0);
	return (
		<div className={clsx("min-w-0", className)}>
			{!bare && (
				<div className="flex justify-between gap-2 text-[0.75rem] text-soft">
					<span>{label}</span>
					<span className="whitespace-nowrap">{text}</span>
				</div>
			)}
			<div
				role="img"
				aria-label={`${label}: ${mark ? `${text}; ${mark.meaning}` : text}`}
				className="relative mt-1 h-[7px] rounded bg-track"
				title={mark?.meaning}
			>
				<div
					className={clsx(
						"absolute inset-y-0 left-0 rounded motion-safe:transition-[width] duration-500",
						fillTone[tone],
					)}
					style={{ width }}
				/>
				{mark && (
					<div className="absolute -top-[3px] h-[13px] w-0.5 bg-ink opacity-55" style={{ left: percent(mark.share) }} />
				)}
			</div>
		</div>
	);
}

/** How far something is; indeterminate work has no bar but words. */
export function Progress({ label, share, tone = "accent" }: { label: string; share: number; tone?: Tone }) {
	return (
		<div
			role="progressbar"
			aria-label={label}
			aria-valuemin={0}
			aria-valuemax={100}
			aria-valuenow={Math.round(Math.min(1, share) * 100)}
			className="h-[7px] overflow-hidden rounded bg-track"
		>
			<div
				className={clsx("h-full rounded motion-safe:transition-[width] duration-500", fillTone[tone])}
				style={{ width: percent(share) }}
			/>
		</div>
	);
}

function percent(share: number): string {
	return `${Math.max(0, Math.min(1, share)) * 100}%`;
}

/** A line of words and numbers that belong together: `name … value`. */
export function Pair({ label, children }: { label: ReactNode; children: ReactNode }) {
	return (
		<div className="flex items-baseline justify-between gap-4 py-1.5">
			<dt className="shrink-0 text-soft">{label}</dt>
			<dd className="min-w-0 text-right wrap-anywhere">{children}</dd>
		</div>
	);
}
