import type { Refusal } from "@sterna/shared/migration";
import { sentence, statement } from "./words.ts";

/** Why something cannot be done, each with what would cure it. */
export function Refusals({ refusals }: { refusals: readonly Refusal[] }) {
	return (
		<ul className="flex flex-col gap-1.5">
			{refusals.map((refusal) => (
				<li key={refusal.message} className="border-l-2 border-warn pl-2.5 wrap-anywhere">
					{statement(refusal.message)}
					{refusal.cure && <span className="block text-sm text-soft">{sentence(refusal.cure)}</span>}
				</li>
			))}
		</ul>
	);
}
