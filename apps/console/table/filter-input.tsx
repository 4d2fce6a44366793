"use client";
import { Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";

interface FilterInputProps {
	label: string;
	value: string;
	onValue: (value: string) => void;
	/** Arrow down leaves the field towards the rows. */
	onLeaveDown?: () => void;
}

/** The filter of a table. `/` anywhere on the page comes here; typing settles for a moment before it asks the server. */
export function FilterInput({ label, value, onValue, onLeaveDown }: FilterInputProps) {
	const input = useRef<HTMLInputElement>(null);
	const [text, setText] = useState(value);
	const settled = useRef(value);

	useEffect(() => {
		if (value !== settled.current) {
			settled.current = value;
			setText(value);
		}
	}, [value]);

	useEffect(() => {
		if (text === settled.current) return;
		const timer = setTimeout(() => {
			settled.current = text;
			onValue(text);
		}, 200);
		return () => clearTimeout(timer);
	}, [text, onValue]);

	useEffect(() => {
		const onKey = (event: KeyboardEvent) => {
			if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isEditing(event.target)) return;
			event.preventDefault();
			input.current?.focus();
		};
		document.addEventListener("keydown", onKey);
		return () => document.removeEventListener("keydown", onKey);
	}, []);

	return (
		<div className="relative w-full sm:w-72">
			<Search aria-hidden className="pointer-events-none absolute top-2.5 left-3 size-4 text-faint" />
			<input
				ref={input}
				type="search"
				aria-label={label}
				placeholder={label}
				value={text}
				onChange={(event) => setText(event.target.value)}
				onKeyDown={(event) => {
					if (event.key === "Escape") {
						setText("");
						event.currentTarget.blur();
					} else if (event.key === "ArrowDown") {
						event.preventDefault();
						onLeaveDown?.();
					}
				}}
				className="min-h-9 w-full rounded-lg border border-line-strong bg-panel pr-9 pl-9"
			/>
			<kbd
				aria-hidden
				className="pointer-events-none absolute top-2 right-2.5 rounded border border-line px-1.5 font-mono text-[0.75rem] text-faint max-sm:hidden"
			>
				/
			</kbd>
		</div>
	);
}

/** Whether a key press belongs to a text that is being written. */
export function isEditing(target: EventTarget | null): boolean {
	return (
		target instanceof HTMLElement &&
		(target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
	);
}
