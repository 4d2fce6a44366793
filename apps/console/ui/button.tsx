"use client";
import { clsx } from "clsx";
import { LoaderCircle } from "lucide-react";
import type { ButtonHTMLAttributes, Ref } from "react";
import { useId } from "react";
import { type ButtonKind, buttonClass } from "./button-class.ts";
import { Tooltip } from "./tooltip.tsx";

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
