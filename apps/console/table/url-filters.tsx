"use client";
import { X } from "lucide-react";
import { buttonClass } from "../ui/button-class.ts";
import { type Choice, Select } from "../ui/select.tsx";
import type { TableUrl } from "./url-state.ts";

interface ChoiceFilterProps<Sort extends string> {
	url: TableUrl<Sort>;
	/** Name of the parameter in the URL. */
	name: string;
	label: string;
	/** The choice that filters nothing: `Any state`. It has no parameter. */
	any: string;
	choices: readonly Choice[];
	className?: string;
}

/** One of a few values that the URL keeps, or any. A value that is not among the choices counts as any. */
export function ChoiceFilter<Sort extends string>({
	url,
	name,
	label,
	any,
	choices,
	className,
}: ChoiceFilterProps<Sort>) {
	const value = url.param(name);
	return (
		<Select
			label={label}
			value={choices.some((choice) => choice.value === value) ? value : unfiltered}
			choices={[{ value: unfiltered, label: any }, ...choices]}
			onValue={(next) => url.set({ [name]: next === unfiltered ? "" : next })}
			className={className ?? "w-36!"}
		/>
	);
}

/** What a link narrowed the list to, with the way back to all. */
export function Narrowed<Sort extends string>({
	url,
	names,
	children,
}: {
	url: TableUrl<Sort>;
	/** Parameters that are taken out of the URL. */
	names: readonly string[];
	/** `One host only`. */
	children: string;
}) {
	return (
		<button
			type="button"
			className={buttonClass("quiet", true)}
			onClick={() => url.set(Object.fromEntries(names.map((name) => [name, ""])))}
		>
			<X aria-hidden className="size-4" />
			{children}
		</button>
	);
}

/** Words of the wire as choices: each is its own label. */
export function asChoices(values: readonly string[]): Choice[] {
	return values.map((value) => ({ value, label: value }));
}

const unfiltered = "any";
