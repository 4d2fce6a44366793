"use client";
import { Monitor, Moon, Sun } from "lucide-react";
import { useState } from "react";
import { z } from "zod";

export const Theme = z.enum(["system", "light", "dark"]).catch("system");
export type Theme = z.infer<typeof Theme>;

const choices = [
	{ theme: "system", label: "As the system", Icon: Monitor },
	{ theme: "light", label: "Light", Icon: Sun },
	{ theme: "dark", label: "Dark", Icon: Moon },
] as const;

/** Light, dark, or as the system says. Kept in a cookie so that the first paint is already right. */
export function ThemeChoice() {
	const [theme, setTheme] = useState<Theme>(() =>
		typeof document === "undefined" ? "system" : Theme.parse(document.documentElement.dataset.theme),
	);
	const choose = (next: Theme) => {
		setTheme(next);
		if (next === "system") delete document.documentElement.dataset.theme;
		else document.documentElement.dataset.theme = next;
		// biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is missing in two of three browsers
		document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax`;
	};
	return (
		<fieldset className="inline-flex rounded-lg border border-line-strong p-0.5">
			<legend className="sr-only">Theme</legend>
			{choices.map(({ theme: value, label, Icon }) => (
				<label
					key={value}
					className="inline-flex min-h-8 cursor-pointer items-center gap-1.5 rounded-md px-3 text-soft has-checked:bg-accent-soft has-checked:font-medium has-checked:text-accent has-focus-visible:outline-2 has-focus-visible:outline-accent"
				>
					<input
						type="radio"
						name="theme"
						className="sr-only"
						checked={theme === value}
						onChange={() => choose(value)}
					/>
					<Icon aria-hidden className="size-4" />
					{label}
				</label>
			))}
		</fieldset>
	);
}
