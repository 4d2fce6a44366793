import { clsx } from "clsx";
import type { ReactNode } from "react";

export interface Figure {
	label: string;
	value: ReactNode;
	/** What the value is measured against, or what it means. */
	note?: ReactNode;
}

/** The few numbers that decide, in one line (two columns where it is narrow). */
export function Figures({ figures }: { figures: readonly Figure[] }) {
	return (
		<dl
			className={clsx(
				"grid grid-cols-2 gap-px overflow-hidden rounded-xl border border-line bg-line",
				figures.length === 4 && "lg:grid-cols-4",
				figures.length === 3 && "sm:grid-cols-3",
				figures.length === 5 && "sm:grid-cols-3 xl:grid-cols-5",
				figures.length === 6 && "sm:grid-cols-3 xl:grid-cols-6",
			)}
		>
			{figures.map((figure, index) => (
				<div
					key={figure.label}
					className={clsx(
						"min-w-0 bg-panel px-4 py-3 sm:px-[18px]",
						figures.length % 2 === 1 && index === figures.length - 1 && "max-sm:col-span-2",
					)}
				>
					<dt className="text-sm text-soft">{figure.label}</dt>
					<dd className="mt-0.5 flex flex-wrap items-baseline gap-x-1.5">
						<span className="text-figure font-semibold tracking-tight">{figure.value}</span>
						{figure.note !== undefined && <span className="text-sm text-faint">{figure.note}</span>}
					</dd>
				</div>
			))}
		</dl>
	);
}
