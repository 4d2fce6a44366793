"use client";
import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { Button } from "./button.tsx";

/** Puts `text` on the clipboard; where the browser refuses (plain HTTP to another machine), selects nothing and says so. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
	const [state, setState] = useState<"idle" | "copied" | "refused">("idle");
	return (
		<Button
			onClick={() => {
				navigator.clipboard?.writeText(text).then(
					() => setState("copied"),
					() => setState("refused"),
				) ?? setState("refused");
			}}
		>
			{state === "copied" ? <Check aria-hidden className="size-4" /> : <Copy aria-hidden className="size-4" />}
			<span aria-live="polite">
				{state === "copied" ? "Copied" : state === "refused" ? "Select and copy by hand" : label}
			</span>
		</Button>
	);
}
