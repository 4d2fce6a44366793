"use client";
import { formatBytes } from "@sterna/shared/units";
import { ArrowRightLeft, EllipsisVertical, HardDrive, Maximize2, Plus } from "lucide-react";
import { useState } from "react";
import type { GuestView } from "../server/views-guests.ts";
import { Button } from "../ui/button.tsx";
import { buttonClass } from "../ui/button-class.ts";
import { Chip } from "../ui/chip.tsx";
import { Menu } from "../ui/menu.tsx";
import { Panel } from "../ui/panel.tsx";
import { useRoleRefusal } from "./me.tsx";
import { MovingDisk } from "./moving-disk.tsx";
import { type VolumeChange, VolumeDialog } from "./volume-dialog.tsx";

const icon = "size-4 shrink-0";

/** The guest's disks, and what may be done with them while it runs. */
export function GuestVolumes({ guest }: { guest: GuestView }) {
	const roleRefusal = useRoleRefusal("admin");
	const [asked, setAsked] = useState<VolumeChange | null>(null);
	const { volumeMove } = guest;
	const refusal =
		roleRefusal ??
		(volumeMove ? "one of its disks is being moved; wait for its end" : null) ??
		(guest.hostOnline ? null : "its host is out of reach") ??
		(guest.moving ? "it is being migrated; wait for the end or cancel the migration" : null);
	return (
		<Panel
			title="Disks"
			aside={
				<Button small disabledReason={refusal} onClick={() => setAsked({ kind: "attach" })}>
					<Plus aria-hidden className={icon} />
					Add a disk
				</Button>
			}
		>
			{guest.spec.volumes.length === 0 ? (
				<p className="text-soft">It has none.</p>
			) : (
				<ul className="rows">
					{guest.spec.volumes.map((volume, index) => {
						const name = `Disk ${index + 1}`;
						return (
							<li key={volume.id} className="flex items-center gap-2.5 py-2 first:pt-0 last:pb-0">
								<HardDrive aria-hidden className={`${icon} text-soft`} />
								<div className="min-w-0 flex-1">
									<span className="flex flex-wrap items-center gap-1.5">
										{name}, {formatBytes(volume.sizeBytes)} in {volume.pool}
										{guest.poolKinds[index] && <Chip>{guest.poolKinds[index]}</Chip>}
									</span>
									{volumeMove?.volumeId === volume.id && <MovingDisk move={volumeMove} />}
									{volume.fromImage && <span className="block text-sm text-soft">from {volume.fromImage}</span>}
								</div>
								<Menu
									trigger={
										<button type="button" aria-label={`Actions for ${name}`} className={buttonClass("quiet", true)}>
											<EllipsisVertical aria-hidden className={icon} />
										</button>
									}
									entries={[
										{
											label: "Grow",
											icon: <Maximize2 aria-hidden className={icon} />,
											disabledReason: refusal,
											onSelect: () => setAsked({ kind: "grow", volume, name }),
										},
										{
											label: "Move to another pool",
											icon: <ArrowRightLeft aria-hidden className={icon} />,
											disabledReason: refusal,
											onSelect: () => setAsked({ kind: "move", volume, name }),
										},
									]}
								/>
							</li>
						);
					})}
				</ul>
			)}
			{asked && <VolumeDialog guest={guest} change={asked} onClose={() => setAsked(null)} />}
		</Panel>
	);
}
