"use client";
import { formatDuration } from "@sterna/shared/units";
import { useState } from "react";
import { useNow } from "../../ui/time.tsx";

/** Something takes longer than a page usually does: what, and for how long it has been waited for. */
export function Patience({ what }: { what: string }) {
	const [since] = useState(() => Date.now());
	const waited = Math.floor((useNow() - since) / 1000) * 1000;
	return (
		<div className="rounded-lg bg-sunken px-3 py-2.5">
			<p role="status">{what}</p>
			<p className="mt-0.5 min-h-[1.45em] text-sm text-soft">{waited >= 2000 && `${formatDuration(waited)} so far.`}</p>
		</div>
	);
}
