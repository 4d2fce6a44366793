import { clsx } from "clsx";
import type { ReactNode } from "react";
import { edgeTone, type Tone } from "./tone.ts";

interface HeadlineProps {
	tone?: Tone;
	title: ReactNode;
	lead?: ReactNode;
	/** Chips beside the title. */
	marks?: ReactNode;
	actions?: ReactNode;
}

/** The page's first sentence, with an edge in the tone of the worst that it says. */
export function Headline({ tone = "neutral", title, lead, marks, actions }: HeadlineProps) {
	return (
		<header
			className={clsx(
				"mb-5 flex flex-col gap-4 border-l-4 py-0.5 pl-4 md:flex-row md:items-start md:justify-between md:gap-6",
				tone === "neutral" ? "border-line-strong" : edgeTone[tone],
			)}
		>
			<div className="min-w-0">
				<div className="flex flex-wrap items-center gap-x-3 gap-y-1">
					<h1 className="max-w-[820px] text-[1.25rem] leading-tight font-semibold tracking-tight wrap-anywhere md:text-title">
						{title}
					</h1>
					{marks}
				</div>
				{lead && <div className="mt-1.5 max-w-[800px] text-soft">{lead}</div>}
			</div>
			{actions && <div className="flex shrink-0 flex-wrap gap-2 md:max-w-[50%] md:justify-end">{actions}</div>}
		</header>
	);
}
