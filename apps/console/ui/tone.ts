/** What a colour means; nothing is coloured without a tone, and a tone is never shown by colour alone. */
export type Tone = "neutral" | "accent" | "ok" | "watch" | "warn" | "bad";

/** Text on the tone's own soft ground. */
export const softTone: Record<Tone, string> = {
	neutral: "bg-sunken text-soft",
	accent: "bg-accent-soft text-accent",
	ok: "bg-ok-soft text-ok",
	watch: "bg-watch-soft text-watch",
	warn: "bg-warn-soft text-warn",
	bad: "bg-bad-soft text-bad",
};

export const textTone: Record<Tone, string> = {
	neutral: "text-soft",
	accent: "text-accent",
	ok: "text-ok",
	watch: "text-watch",
	warn: "text-warn",
	bad: "text-bad",
};

export const edgeTone: Record<Tone, string> = {
	neutral: "border-line-strong",
	accent: "border-accent",
	ok: "border-ok",
	watch: "border-watch",
	warn: "border-warn",
	bad: "border-bad",
};

export const fillTone: Record<Tone, string> = {
	neutral: "bg-fill",
	accent: "bg-accent",
	ok: "bg-ok",
	watch: "bg-watch",
	warn: "bg-warn",
	bad: "bg-bad",
};
