import { Panel } from "../ui/panel.tsx";
import { Time } from "../ui/time.tsx";

/** What happened when, in the words of the agent that did it. */
export function Journal({ journal }: { journal: readonly { at: number; text: string }[] }) {
	return (
		<Panel title="Journal">
			{journal.length === 0 ? (
				<p className="text-soft">Nothing is written yet.</p>
			) : (
				<ol className="rows">
					{journal.map((entry) => (
						<li key={`${entry.at} ${entry.text}`} className="grid grid-cols-[4.5rem_minmax(0,1fr)] gap-2.5 py-1.5">
							<Time at={entry.at} className="text-sm text-faint" />
							<span className="wrap-anywhere">{entry.text}</span>
						</li>
					))}
				</ol>
			)}
		</Panel>
	);
}
