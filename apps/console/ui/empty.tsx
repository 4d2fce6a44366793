import type { ReactNode } from "react";

/** Nothing here yet: why, and what to do next. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
	return (
		<div className="flex flex-col items-start gap-1 py-3">
			<p className="font-medium">{title}</p>
			{children && <p className="max-w-prose text-soft">{children}</p>}
			{action && <div className="mt-2">{action}</div>}
		</div>
	);
}
