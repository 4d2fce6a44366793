"use client";
import { Dialog } from "@base-ui/react/dialog";
import { clsx } from "clsx";
import {
	Activity,
	Archive,
	ArrowLeftRight,
	Boxes,
	HeartPulse,
	LayoutDashboard,
	Menu,
	Server,
	Settings,
	X,
} from "lucide-react";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { useState } from "react";
import { Mark } from "../ui/mark.tsx";
import { countOf } from "./backups/words.ts";

/** Numbers beside the links; `bad` ones need attention. Null hides the number. */
export interface NavCounts {
	guests: number | null;
	hostsInTrouble: number | null;
	migrations: number | null;
	guestsAtRisk: number | null;
	findings: number | null;
}

const groups = [
	[
		{ href: "/", label: "Overview", Icon: LayoutDashboard, count: null },
		{ href: "/guests", label: "Guests", Icon: Boxes, count: "guests" },
		{ href: "/hosts", label: "Hosts", Icon: Server, count: "hostsInTrouble" },
		{ href: "/migrations", label: "Migrations", Icon: ArrowLeftRight, count: "migrations" },
		{ href: "/backups", label: "Backups", Icon: Archive, count: "guestsAtRisk" },
	],
	[
		{ href: "/health", label: "Health", Icon: HeartPulse, count: "findings" },
		{ href: "/events", label: "Events", Icon: Activity, count: null },
		{ href: "/settings", label: "Settings", Icon: Settings, count: null },
	],
] as const;

const said: Record<keyof NavCounts, { bad: boolean; words: (count: number) => string }> = {
	guests: { bad: false, words: (count) => countOf(count, "guest") },
	hostsInTrouble: { bad: true, words: (count) => `${count} ${count === 1 ? "needs" : "need"} attention` },
	migrations: { bad: false, words: (count) => `${count} running` },
	guestsAtRisk: { bad: true, words: (count) => `${countOf(count, "guest")} at risk` },
	findings: { bad: true, words: (count) => countOf(count, "open finding") },
};

function NavLinks({ counts, onFollow }: { counts: NavCounts; onFollow?: () => void }) {
	const path = usePathname();
	return groups.map((group, index) => (
		<ul
			key={group[0].href}
			className={clsx("flex flex-col gap-0.5", index > 0 && "mt-2.5 border-t border-line pt-2.5")}
		>
			{group.map(({ href, label, Icon, count }) => {
				const here =
					href === "/"
						? path === "/"
						: path.startsWith(href) || (href === "/migrations" && path.startsWith("/evacuations"));
				const amount = count ? counts[count] : null;
				const meaning = count ? said[count] : null;
				return (
					<li key={href}>
						<Link
							href={href}
							aria-current={here ? "page" : undefined}
							{...(onFollow ? { onClick: onFollow } : {})}
							className={clsx(
								"flex min-h-9 items-center gap-2.5 rounded-md px-2.5 md:min-h-8",
								here ? "bg-accent-soft font-semibold text-accent" : "text-soft hover:bg-sunken hover:text-ink",
							)}
						>
							<Icon aria-hidden className="size-4 shrink-0" />
							{label}
							{amount !== null && meaning && amount > 0 && (
								<span className={clsx("ml-auto text-[0.75rem]", meaning.bad ? "font-semibold text-bad" : "text-faint")}>
									<span aria-hidden>{amount}</span>
									<span className="sr-only">, {meaning.words(amount)}</span>
								</span>
							)}
						</Link>
					</li>
				);
			})}
		</ul>
	));
}

function Brand() {
	return (
		<Link href="/" className="mb-3 flex min-h-9 items-center gap-2 px-2.5 text-[0.9375rem] font-semibold">
			<Mark className="size-5" />
			Sterna
		</Link>
	);
}

/** The column of links; where there is no room for it, NavDrawer stands in. */
export function NavColumn({ counts }: { counts: NavCounts }) {
	return (
		<nav
			aria-label="Main"
			className="sticky top-0 hidden h-dvh w-[204px] shrink-0 overflow-y-auto border-r border-line bg-panel px-3 py-3.5 md:block"
		>
			<Brand />
			<NavLinks counts={counts} />
		</nav>
	);
}

export function NavDrawer({ counts }: { counts: NavCounts }) {
	const [open, setOpen] = useState(false);
	return (
		<Dialog.Root open={open} onOpenChange={setOpen}>
			<Dialog.Trigger
				aria-label="Open the menu"
				className="inline-flex size-9 shrink-0 items-center justify-center rounded-lg border border-line-strong bg-panel md:hidden"
			>
				<Menu aria-hidden className="size-5" />
			</Dialog.Trigger>
			<Dialog.Portal>
				<Dialog.Backdrop className="fixed inset-0 z-40 bg-[rgb(8_12_16/0.45)]" />
				<Dialog.Popup className="fixed inset-y-0 left-0 z-40 w-[min(280px,85vw)] overflow-y-auto bg-panel px-3 py-3.5 shadow-popup outline-none">
					<div className="flex items-start justify-between">
						<Dialog.Title render={<div />}>
							<Brand />
						</Dialog.Title>
						<Dialog.Close
							aria-label="Close the menu"
							className="inline-flex size-9 items-center justify-center rounded-lg text-soft hover:bg-sunken"
						>
							<X aria-hidden className="size-5" />
						</Dialog.Close>
					</div>
					<nav aria-label="Main">
						<NavLinks counts={counts} onFollow={() => setOpen(false)} />
					</nav>
				</Dialog.Popup>
			</Dialog.Portal>
		</Dialog.Root>
	);
}
