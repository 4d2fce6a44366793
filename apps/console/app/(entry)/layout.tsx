import type { ReactNode } from "react";
import { Mark } from "../../ui/mark.tsx";

/** The doors before the console: first admin, sign-in. */
export default function EntryLayout({ children }: { children: ReactNode }) {
	return (
		<main className="flex min-h-dvh flex-col items-center px-4 pt-[12dvh] pb-10">
			<div className="mb-6 flex items-center gap-2 text-lg font-semibold">
				<Mark className="size-6 text-accent" />
				Sterna
			</div>
			<div className="w-full max-w-[400px] rounded-xl border border-line bg-panel px-6 py-5">{children}</div>
		</main>
	);
}
