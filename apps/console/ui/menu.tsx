"use client";
import { Menu as Base } from "@base-ui/react/menu";
import { clsx } from "clsx";
import type { ReactElement, ReactNode } from "react";

export interface MenuEntry {
	label: string;
	icon?: ReactNode;
	danger?: boolean;
	/** Why it cannot be chosen now; stands under the label. */
	disabledReason?: string | null;
	onSelect: () => void;
}

/** Actions behind one button. An entry that cannot be chosen stays and says why. */
export function Menu({ trigger, entries }: { trigger: ReactElement; entries: readonly MenuEntry[] }) {
	return (
		<Base.Root>
			<Base.Trigger render={trigger} />
			<Base.Portal>
				<Base.Positioner sideOffset={4} align="end" className="z-50">
					<Base.Popup className="min-w-48 max-w-80 rounded-lg border border-line-strong bg-panel p-1 shadow-popup outline-none">
						{entries.map((entry) => (
							<Base.Item
								key={entry.label}
								disabled={Boolean(entry.disabledReason)}
								onClick={entry.onSelect}
								className={clsx(
									"flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 py-1 outline-none data-highlighted:bg-sunken",
									entry.disabledReason ? "text-faint" : entry.danger ? "text-bad" : "text-ink",
								)}
							>
								{entry.icon}
								<span>
									{entry.label}
									{entry.disabledReason && <span className="block text-sm">{entry.disabledReason}</span>}
								</span>
							</Base.Item>
						))}
					</Base.Popup>
				</Base.Positioner>
			</Base.Portal>
		</Base.Root>
	);
}
