import type { PointVolume } from "@sterna/shared/backup";
import { formatBytes } from "@sterna/shared/units";
import { Chip } from "../../ui/chip.tsx";
import { Panel } from "../../ui/panel.tsx";
import { readReasonWords } from "./words.ts";

/** What was read of each disk and why, and what that came to. */
export function PointVolumes({ volumes }: { volumes: readonly PointVolume[] }) {
	return (
		<Panel title="Disks">
			{volumes.length === 0 ? (
				<p className="text-soft">No disk has been looked at yet.</p>
			) : (
				<ul className="rows">
					{volumes.map((volume, index) => (
						<li key={volume.volumeId} className="flex flex-wrap gap-x-6 gap-y-1 py-2.5 first:pt-0 last:pb-0">
							<div className="min-w-0 flex-1 basis-64">
								<div className="flex flex-wrap items-center gap-2">
									<span className="font-medium">Disk {index + 1}</span>
									<span className="text-soft">{formatBytes(volume.sizeBytes)}</span>
									<Chip tone={volume.read === "whole" ? "watch" : "neutral"}>
										{volume.read === "whole" ? "read whole" : "changes only"}
									</Chip>
								</div>
								<p className="text-sm text-soft">
									{volume.read === "whole" ? "Because " : "Possible because "}
									{readReasonWords[volume.reason].why}.
								</p>
							</div>
							<dl className="grid grid-cols-3 gap-x-5 text-right">
								{(
									[
										["read", volume.readBytes],
										["changed", volume.changedBytes],
										["stored", volume.storedBytes],
									] as const
								).map(([label, bytes]) => (
									<div key={label} className="min-w-16">
										<dt className="text-sm text-soft">{label}</dt>
										<dd>{formatBytes(bytes)}</dd>
									</div>
								))}
							</dl>
						</li>
					))}
				</ul>
			)}
		</Panel>
	);
}
