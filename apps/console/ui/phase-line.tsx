import { clsx } from "clsx";
import { Check, Circle, CircleDot, X } from "lucide-react";
import type { ReactNode } from "react";

export interface LinePhase {
	key: string;
	name: string;
	standing: "done" | "now" | "ahead" | "stopped";
	/** Under the name: what it does, or how long it took. */
	note?: ReactNode;
}

const icons = {
	done: <Check aria-label="done" className="size-4 text-accent" />,
	now: <CircleDot aria-label="now" className="size-4 text-accent" />,
	ahead: <Circle aria-label="ahead" className="size-4 text-faint" />,
	stopped: <X aria-label="stopped here" className="size-4 text-bad" />,
};

/** The phases of a task in a row (one under the other where it is narrow). */
export function PhaseLine({ phases }: { phases: readonly LinePhase[] }) {
	return (
		<ol
			className="grid gap-y-3 md:gap-x-3.5"
			style={{ gridTemplateColumns: `repeat(auto-fit, minmax(min(100%, max(9rem, ${80 / phases.length}%)), 1fr))` }}
		>
			{phases.map((phase) => (
				<li
					key={phase.key}
					aria-current={phase.standing === "now" ? "step" : undefined}
					className="flex gap-2.5 md:flex-col md:gap-1.5"
				>
					<div className="flex items-center gap-2">
						{icons[phase.standing]}
						<div
							aria-hidden
							className={clsx(
								"hidden h-0.5 flex-1 rounded md:block",
								phase.standing === "done" ? "bg-accent" : "bg-track",
							)}
						/>
					</div>
					<div className="min-w-0">
						<div className={clsx("font-medium", phase.standing === "ahead" && "text-faint")}>{phase.name}</div>
						{phase.note && <div className="text-sm text-soft">{phase.note}</div>}
					</div>
				</li>
			))}
		</ol>
	);
}
