"use client";
import type { ReactNode } from "react";
import { Pager } from "./pager.tsx";
import type { TableUrl } from "./url-state.ts";

interface ListFrameProps<Sort extends string> {
	/** Filters, or what may be done with the rows that are chosen. */
	toolbar: ReactNode;
	url: TableUrl<Sort>;
	/** How many rows there are on all pages; left out where the list has no pages. */
	total?: number;
	children: ReactNode;
}

/** The card around a list: filters over it, pages under it. */
export function ListFrame<Sort extends string>({ toolbar, url, total, children }: ListFrameProps<Sort>) {
	return (
		<div className="overflow-hidden rounded-xl border border-line bg-panel">
			<div className="flex min-h-[57px] flex-wrap items-center gap-2 border-b border-line px-3 py-2.5">{toolbar}</div>
			{children}
			{total !== undefined && (
				<Pager page={url.page} pageSize={url.pageSize} total={total} onPage={(page) => url.set({ page })} />
			)}
		</div>
	);
}
