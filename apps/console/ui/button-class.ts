import { clsx } from "clsx";

export type ButtonKind = "primary" | "secondary" | "danger" | "quiet";

const kinds: Record<ButtonKind, string> = {
	primary: "border-accent bg-accent text-on-accent",
	secondary: "border-line-strong bg-panel text-ink hover:bg-sunken",
	danger: "border-bad bg-panel text-bad hover:bg-bad-soft",
	quiet: "border-transparent bg-transparent text-soft hover:bg-sunken hover:text-ink",
};

/** The looks of a button, also for links and triggers that act as one. */
export function buttonClass(kind: ButtonKind = "secondary", small = false): string {
	return clsx(
		"inline-flex select-none items-center justify-center gap-1.5 whitespace-nowrap rounded-lg border font-medium transition-colors",
		small ? "min-h-8 px-2.5 text-sm" : "min-h-9 px-3.5",
		kinds[kind],
	);
}
