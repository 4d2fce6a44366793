"use client";
import { clsx } from "clsx";
import { LoaderCircle } from "lucide-react";
import type { ButtonHTMLAttributes, Ref } from "react";
import { useId } from "react";
import { Tooltip } from "./tooltip.tsx";

export type ButtonKind = "primary" | "secondary" | "danger" | "quiet";

const kinds: Record<ButtonKind, string> = {
	primary: "border-accent bg-accent text-on-accent",
	secondary: "border-line-strong bg-panel text-ink hover:bg-sunken",
	danger: "border-bad bg-panel text-bad hover:bg-bad-soft",
	quiet: "border-transparent bg-transparent text-soft hover:bg-sunken hover:text-ink",
};

/** The looks of a button, for links that act as one. */
export function buttonClass(kind: ButtonKind = "secondary", small = false): string {
	return clsx(
		"inline-flex select-none items-center justify-center gap-1.5 whitespace-nowrap rounded-lg border font-medium transition-colors",
		small ? "min-h-8 px-2.5 text-sm" : "min-h-9 px-3.5",
		kinds[kind],
	);
}

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
	kind?: ButtonKind;
	small?: boolean;
	/** Why it cannot be pressed now; shown on hover and focus, read with the name. The button stays reachable. */
	disabledReason?: string | null | undefined;
	/** Work is under way; the label stays so that nothing moves. */
	pending?: boolean;
	ref?: Ref<HTMLButtonElement>;
}

export function Button({
	kind,
	small,
	disabledReason,
	pending = false,
	className,
	onClick,
	children,
	...rest
}: ButtonProps) {
	const reasonId = useId();
	const off = Boolean(disabledReason) || pending;
	const button = (
		<button
			type="button"
			{...rest}
			className={clsx(
				buttonClass(kind, small),
				off && "cursor-not-allowed! border-line! bg-sunken! text-faint! hover:bg-sunken! hover:text-faint!",
				className,
			)}
			aria-disabled={off || undefined}
			aria-busy={pending || undefined}
			aria-describedby={disabledReason ? reasonId : undefined}
			onClick={(event) => {
				if (off) event.preventDefault();
				else onClick?.(event);
			}}
		>
			{pending && <LoaderCircle aria-hidden className="size-4 motion-safe:animate-spin" />}
			{children}
		</button>
	);
	if (!disabledReason) return button;
	return (
		<>
			<Tooltip text={disabledReason}>{button}</Tooltip>
			<span id={reasonId} hidden>
				{disabledReason}
			</span>
		</>
	);
}

/** A square button with an icon only; `label` is its name. */
export function IconButton({ label, className, children, ...rest }: ButtonProps & { label: string }) {
	const button = (
		<button
			type="button"
			aria-label={label}
			{...rest}
			className={clsx(
				"inline-flex size-9 shrink-0 items-center justify-center rounded-lg text-soft hover:bg-sunken hover:text-ink",
				className,
			)}
		>
			{children}
		</button>
	);
	return <Tooltip text={label}>{button}</Tooltip>;
}
