"use client";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { Button } from "../ui/button.tsx";

interface PagerProps {
	page: number;
	pageSize: number;
	total: number;
	onPage: (page: number) => void;
}

/** Where in the list these rows stand; nothing when one page holds them all. */
export function Pager({ page, pageSize, total, onPage }: PagerProps) {
	const pages = Math.max(1, Math.ceil(total / pageSize));
	if (pages === 1 && page === 1) return null;
	const first = (page - 1) * pageSize + 1;
	return (
		<nav
			aria-label="Pages"
			className="flex items-center justify-end gap-2 border-t border-line px-3 py-2 text-sm text-soft"
		>
			<span>
				{first > total ? "none" : `${first}–${Math.min(first + pageSize - 1, total)}`} of {total}
			</span>
			<Button
				kind="quiet"
				small
				aria-label="Previous page"
				disabledReason={page <= 1 ? "this is the first page" : null}
				onClick={() => onPage(Math.min(page - 1, pages))}
			>
				<ChevronLeft aria-hidden className="size-4" />
			</Button>
			<Button
				kind="quiet"
				small
				aria-label="Next page"
				disabledReason={page >= pages ? "this is the last page" : null}
				onClick={() => onPage(page + 1)}
			>
				<ChevronRight aria-hidden className="size-4" />
			</Button>
		</nav>
	);
}
