"use client";
import { Tooltip as Base } from "@base-ui/react/tooltip";
import type { ReactElement, ReactNode } from "react";

/** A sentence beside a thing, on hover and on focus, for the eye: whoever hears the page gets it from the trigger’s own name or description. The trigger must be focusable. */
export function Tooltip({ text, children }: { text: ReactNode; children: ReactElement }) {
	return (
		<Base.Root>
			<Base.Trigger render={children} />
			<Base.Portal>
				<Base.Positioner sideOffset={6} className="z-50">
					<Base.Popup
						aria-hidden
						className="max-w-72 rounded-md border border-line-strong bg-panel px-2.5 py-1.5 text-sm text-ink shadow-popup"
					>
						{text}
					</Base.Popup>
				</Base.Positioner>
			</Base.Portal>
		</Base.Root>
	);
}

export const TooltipProvider = Base.Provider;
