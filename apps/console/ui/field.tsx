"use client";
import { Field as Base } from "@base-ui/react/field";
import { clsx } from "clsx";
import type { InputHTMLAttributes, ReactNode } from "react";
import { useEffectEvent, useLayoutEffect, useRef } from "react";

export const inputClass =
	"min-h-9 w-full min-w-0 rounded-lg border border-line-strong bg-panel px-3 text-ink aria-invalid:border-bad data-invalid:border-bad";

interface FieldProps {
	label: string;
	/** What to enter, or what it is for. */
	hint?: ReactNode;
	/** Why the value is not accepted. */
	error?: string | null | undefined;
	className?: string;
	children: ReactNode;
}

/** A label, its control, a hint and an error, tied together for screen readers. */
export function Field({ label, hint, error, className, children }: FieldProps) {
	return (
		<Base.Root invalid={Boolean(error)} className={clsx("flex min-w-0 flex-col gap-1", className)}>
			<Base.Label className="text-sm font-medium">{label}</Base.Label>
			{children}
			{hint && !error && <Base.Description className="text-sm text-soft">{hint}</Base.Description>}
			{error && (
				<Base.Error match className="text-sm text-bad">
					{error}
				</Base.Error>
			)}
		</Base.Root>
	);
}

interface TextFieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "onChange" | "defaultValue" | "value"> {
	label: string;
	hint?: ReactNode;
	error?: string | null | undefined;
	value: string;
	onValue: (value: string) => void;
	/** Stands behind the value, such as `GiB`. */
	unit?: string;
	fieldClassName?: string;
}

export function TextField({
	label,
	hint,
	error,
	value,
	onValue,
	unit,
	fieldClassName,
	className,
	...rest
}: TextFieldProps) {
	const input = useRef<HTMLInputElement>(null);
	/** A page can be seen before its code has arrived: what was typed by then, or filled in by the browser, counts. */
	const takeOver = useEffectEvent(() => {
		if (input.current && input.current.value !== value) onValue(input.current.value);
	});
	useLayoutEffect(() => takeOver(), []);
	return (
		<Field label={label} hint={hint} error={error} {...(fieldClassName ? { className: fieldClassName } : {})}>
			<div className="flex items-center gap-2">
				<Base.Control
					render={<input ref={input} {...rest} />}
					value={value}
					onValueChange={onValue}
					className={clsx(inputClass, className)}
				/>
				{unit && <span className="text-soft">{unit}</span>}
			</div>
		</Field>
	);
}
