"use client";
import { Switch as Base } from "@base-ui/react/switch";
import { clsx } from "clsx";

interface SwitchProps {
	label: string;
	checked: boolean;
	onChange: (checked: boolean) => void;
	disabled?: boolean;
}

/** On or off, at once. */
export function Switch({ label, checked, onChange, disabled = false }: SwitchProps) {
	return (
		<Base.Root
			aria-label={label}
			checked={checked}
			disabled={disabled}
			onCheckedChange={onChange}
			className={clsx(
				"inline-flex h-5 w-9 shrink-0 items-center rounded-full border p-0.5 transition-colors",
				checked ? "border-accent bg-accent" : "border-line-strong bg-track",
			)}
		>
			<Base.Thumb className="size-3.5 rounded-full bg-ink transition-transform data-checked:translate-x-4 data-checked:bg-on-accent" />
		</Base.Root>
	);
}
