import type { ReactNode } from "react";

interface RadioCardProps {
	/** Choices of one question share it. */
	name: string;
	checked: boolean;
	onChoose: () => void;
	title: ReactNode;
	children?: ReactNode;
	disabled?: boolean;
}

/** One of a few choices that need a sentence each. */
export function RadioCard({ name, checked, onChoose, title, children, disabled = false }: RadioCardProps) {
	return (
		<label className="flex cursor-pointer items-start gap-2.5 rounded-lg border border-line-strong px-3 py-2 has-checked:border-accent has-checked:bg-accent-soft has-disabled:cursor-not-allowed has-disabled:border-line has-disabled:bg-sunken">
			<input
				type="radio"
				name={name}
				checked={checked}
				onChange={onChoose}
				disabled={disabled}
				className="mt-0.5 size-4 shrink-0 accent-accent"
			/>
			<span className="min-w-0">
				<span className="flex flex-wrap items-center gap-2 font-medium wrap-anywhere">{title}</span>
				{children && <span className="block text-sm text-soft wrap-anywhere">{children}</span>}
			</span>
		</label>
	);
}
