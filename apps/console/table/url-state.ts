"use client";
import { usePathname, useRouter, useSearchParams } from "next/navigation";
import { useCallback, useMemo } from "react";
import { z } from "zod";

const Direction = z.enum(["ascending", "descending"]).catch("ascending");
const Page = z.coerce.number().int().min(1).max(100_000).catch(1);

export interface TableUrl<Sort extends string> {
	page: number;
	/** Rows on one page. */
	pageSize: number;
	sort: Sort;
	direction: "ascending" | "descending";
	filter: string;
	/** What every list is asked with. */
	request: { page: number; pageSize: number; sort: Sort; direction: "ascending" | "descending"; filter: string };
	/** Whether something is filtered away: by the name filter or by a parameter of the page. */
	narrowed: boolean;
	/** Ids of the columns that the reader hid. */
	hidden: readonly string[];
	/** Any other parameter of the page, such as a filter by state. */
	param: (name: string) => string;
	/** Changes parameters; an empty value takes the parameter out. Anything but a page turn goes back to page 1. */
	set: (patch: Record<string, string | number>) => void;
	/** Takes every filter out; order and hidden columns stay. */
	clear: () => void;
}

interface TableUrlOptions {
	defaultDirection?: "ascending" | "descending";
	pageSize?: number;
}

/** Parameters that say how rows are shown, not which. */
const manner = ["page", "sort", "direction", "hide"];

/** The state of a table as the URL keeps it, so that a link or a reload shows the same rows. */
export function useTableUrl<const Sort extends string>(
	sorts: readonly [Sort, ...Sort[]],
	{ defaultDirection = "ascending", pageSize = 50 }: TableUrlOptions = {},
): TableUrl<Sort> {
	const params = useSearchParams();
	const router = useRouter();
	const path = usePathname();
	const set = useCallback(
		(patch: Record<string, string | number>) => {
			const next = new URLSearchParams(params);
			if (!("page" in patch)) next.delete("page");
			for (const [name, value] of Object.entries(patch)) {
				if (value === "" || (name === "page" && value === 1)) next.delete(name);
				else next.set(name, String(value));
			}
			const query = next.toString();
			router.replace(query ? `${path}?${query}` : path, { scroll: false });
		},
		[params, path, router],
	);
	return useMemo(() => {
		const request = {
			page: Page.parse(params.get("page") ?? 1),
			pageSize,
			sort: sorts.find((sort) => sort === params.get("sort")) ?? sorts[0],
			direction: params.has("direction") ? Direction.parse(params.get("direction")) : defaultDirection,
			filter: (params.get("filter") ?? "").slice(0, 100),
		};
		const filters = [...params.keys()].filter((name) => !manner.includes(name));
		return {
			...request,
			request,
			narrowed: filters.length > 0,
			hidden: (params.get("hide") ?? "").split(",").filter(Boolean),
			param: (name: string) => params.get(name) ?? "",
			set,
			clear: () => set(Object.fromEntries(filters.map((name) => [name, ""]))),
		};
	}, [params, set, sorts, defaultDirection, pageSize]);
}
