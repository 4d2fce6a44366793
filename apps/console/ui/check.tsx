import type { ReactNode } from "react";

interface CheckProps {
	checked: boolean;
	onChange: (checked: boolean) => void;
	label: ReactNode;
	note?: ReactNode;
}

/** Yes or no, as part of a form that is sent later. */
export function Check({ checked, onChange, label, note }: CheckProps) {
	return (
		<label className="flex min-h-8 cursor-pointer items-start gap-2.5 py-1">
			<input
				type="checkbox"
				checked={checked}
				onChange={(event) => onChange(event.target.checked)}
				className="mt-0.5 size-4 shrink-0 accent-accent"
			/>
			<span className="min-w-0">
				<span className="block wrap-anywhere">{label}</span>
				{note && <span className="block text-sm text-soft">{note}</span>}
			</span>
		</label>
	);
}
