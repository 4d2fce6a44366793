"use client";
import { clsx } from "clsx";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { useEffect, useRef } from "react";

interface SectionLinksProps {
	/** What the pages belong to, for screen readers. */
	label: string;
	links: readonly { href: string; label: string }[];
}

/** The pages of one section side by side; the longest link that the address begins with is where the reader is. */
export function SectionLinks({ label, links }: SectionLinksProps) {
	const path = usePathname();
	const here = links
		.filter(({ href }) => path === href || path.startsWith(`${href}/`))
		.sort((a, b) => b.href.length - a.href.length)[0];
	const active = useRef<HTMLAnchorElement>(null);
	/** On a narrow screen the links are wider than it; where the reader is must not lie beyond its edge. */
	useEffect(() => {
		// Nothing is returned: newer browsers answer with a promise, which React would take for the way to clean up.
		active.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
	}, []);
	return (
		<nav aria-label={label} className="mb-5 overflow-x-auto border-b border-line">
			<ul className="flex gap-5">
				{links.map((link) => (
					<li key={link.href}>
						<Link
							ref={link === here ? active : undefined}
							href={link.href}
							aria-current={link === here ? (path === link.href ? "page" : "true") : undefined}
							className={clsx(
								"-mb-px inline-flex min-h-9 items-center border-b-2 whitespace-nowrap",
								link === here
									? "border-accent font-semibold text-accent"
									: "border-transparent text-soft hover:text-ink",
							)}
						>
							{link.label}
						</Link>
					</li>
				))}
			</ul>
		</nav>
	);
}
