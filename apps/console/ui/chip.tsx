import { clsx } from "clsx";
import type { ReactNode } from "react";
import { softTone, type Tone } from "./tone.ts";

/** One or two words about a thing's state. */
export function Chip({
	tone = "neutral",
	className,
	children,
}: {
	tone?: Tone;
	className?: string;
	children: ReactNode;
}) {
	return (
		<span
			className={clsx(
				"inline-flex items-center gap-1 whitespace-nowrap rounded-full px-2 py-px text-[0.75rem] font-semibold",
				softTone[tone],
				className,
			)}
		>
			{children}
		</span>
	);
}
