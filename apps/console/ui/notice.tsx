import { clsx } from "clsx";
import { CircleAlert, CircleCheck, Info, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { edgeTone, softTone, type Tone, textTone } from "./tone.ts";

const icons = {
	neutral: Info,
	accent: Info,
	ok: CircleCheck,
	watch: TriangleAlert,
	warn: TriangleAlert,
	bad: CircleAlert,
};

/** A message that stays in the page; `cure` says what to do. */
export function Notice({
	tone = "neutral",
	title,
	cure,
	children,
	className,
}: {
	tone?: Tone;
	title: ReactNode;
	cure?: ReactNode;
	children?: ReactNode;
	className?: string | undefined;
}) {
	const Icon = icons[tone];
	return (
		<div
			role={tone === "bad" ? "alert" : undefined}
			className={clsx("flex gap-2.5 rounded-lg border px-3 py-2.5", softTone[tone], edgeTone[tone], className)}
		>
			<Icon aria-hidden className={clsx("mt-0.5 size-4 shrink-0", textTone[tone])} />
			<div className="min-w-0 text-ink">
				<p className="font-medium wrap-anywhere">{title}</p>
				{cure && <p className="mt-0.5 text-soft wrap-anywhere">{cure}</p>}
				{children}
			</div>
		</div>
	);
}
