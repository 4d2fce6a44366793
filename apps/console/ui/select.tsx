"use client";
import { Select as Base } from "@base-ui/react/select";
import { clsx } from "clsx";
import { Check, ChevronDown } from "lucide-react";
import { inputClass } from "./field.tsx";

export interface Choice {
	value: string;
	label: string;
	/** A few words under the label in the list. */
	note?: string;
}

interface SelectProps {
	/** The name for screen readers; a visible label comes from the Field around it. */
	label: string;
	value: string;
	choices: readonly Choice[];
	onValue: (value: string) => void;
	className?: string;
}

/** One of a few. */
export function Select({ label, value, choices, onValue, className }: SelectProps) {
	return (
		<Base.Root
			value={value}
			items={choices.map((choice) => ({ value: choice.value, label: choice.label }))}
			onValueChange={(next) => typeof next === "string" && onValue(next)}
		>
			<Base.Trigger
				aria-label={label}
				className={clsx(inputClass, "inline-flex items-center justify-between gap-2 text-left", className)}
			>
				<Base.Value className="truncate" />
				<Base.Icon>
					<ChevronDown aria-hidden className="size-4 text-soft" />
				</Base.Icon>
			</Base.Trigger>
			<Base.Portal>
				<Base.Positioner sideOffset={4} alignItemWithTrigger={false} className="z-50">
					<Base.Popup className="max-h-[min(24rem,var(--available-height))] min-w-(--anchor-width) overflow-y-auto rounded-lg border border-line-strong bg-panel p-1 shadow-popup outline-none">
						{choices.map((choice) => (
							<Base.Item
								key={choice.value}
								value={choice.value}
								className="grid min-h-8 cursor-default grid-cols-[1fr_auto] items-center gap-x-3 rounded-md px-2.5 py-1 outline-none data-highlighted:bg-sunken"
							>
								<Base.ItemText>{choice.label}</Base.ItemText>
								<Base.ItemIndicator>
									<Check aria-hidden className="size-4 text-accent" />
								</Base.ItemIndicator>
								{choice.note && <span className="col-span-2 text-sm text-soft">{choice.note}</span>}
							</Base.Item>
						))}
					</Base.Popup>
				</Base.Positioner>
			</Base.Portal>
		</Base.Root>
	);
}
