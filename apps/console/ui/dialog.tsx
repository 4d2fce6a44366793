"use client";
import { Dialog as Base } from "@base-ui/react/dialog";
import { clsx } from "clsx";
import { X } from "lucide-react";
import type { ReactNode } from "react";

interface DialogProps {
	open: boolean;
	onClose: () => void;
	title: ReactNode;
	/** One sentence under the title. */
	lead?: ReactNode;
	/** The buttons, at the end; the first is the way out. */
	actions?: ReactNode;
	wide?: boolean;
	children?: ReactNode;
}

/** A window over the page: Esc and the cross close it, focus returns to what opened it. Fills a narrow screen from below. */
export function Dialog({ open, onClose, title, lead, actions, wide = false, children }: DialogProps) {
	return (
		<Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
			<Base.Portal>
				<Base.Backdrop className="fixed inset-0 z-40 bg-[rgb(8_12_16/0.45)]" />
				<Base.Popup
					className={clsx(
						"fixed z-40 flex max-h-[92dvh] flex-col bg-panel shadow-popup outline-none",
						"max-sm:inset-x-0 max-sm:bottom-0 max-sm:rounded-t-xl",
						"sm:top-[10dvh] sm:left-1/2 sm:max-h-[80dvh] sm:-translate-x-1/2 sm:rounded-xl sm:border sm:border-line",
						wide ? "sm:w-[min(760px,calc(100vw-3rem))]" : "sm:w-[min(560px,calc(100vw-3rem))]",
					)}
				>
					<header className="flex items-start justify-between gap-4 px-5 pt-4 pb-3">
						<div className="min-w-0">
							<Base.Title className="text-lg font-semibold wrap-anywhere">{title}</Base.Title>
							{lead && <Base.Description className="mt-0.5 text-soft">{lead}</Base.Description>}
						</div>
						<Base.Close
							aria-label="Close"
							className="-mt-1 -mr-2 inline-flex size-9 shrink-0 items-center justify-center rounded-lg text-soft hover:bg-sunken hover:text-ink"
						>
							<X aria-hidden className="size-4" />
						</Base.Close>
					</header>
					<div className="min-h-0 flex-1 overflow-y-auto px-5 pb-4">{children}</div>
					{actions && (
						<footer className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3">{actions}</footer>
					)}
				</Base.Popup>
			</Base.Portal>
		</Base.Root>
	);
}
