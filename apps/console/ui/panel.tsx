import { clsx } from "clsx";
import type { ReactNode } from "react";
import { useId } from "react";

interface PanelProps {
	title: ReactNode;
	/** A link or small control at the end of the heading line. */
	aside?: ReactNode;
	className?: string;
	children: ReactNode;
}

/** A titled part of a page. */
export function Panel({ title, aside, className, children }: PanelProps) {
	const id = useId();
	return (
		<section
			aria-labelledby={id}
			className={clsx("min-w-0 rounded-xl border border-line bg-panel px-4 pt-3.5 pb-4 sm:px-[18px]", className)}
		>
			<div className="mb-3 flex min-h-5 items-baseline justify-between gap-3">
				<h2 id={id} className="text-[0.8125rem] font-semibold text-soft">
					{title}
				</h2>
				{aside}
			</div>
			{children}
		</section>
	);
}
