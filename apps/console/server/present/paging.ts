export interface PageRequest {
	page: number;
	pageSize: number;
	direction: "ascending" | "descending";
}

/** Sorts by `keyOf` (ties by `tieOf`, so that a page never shows a row twice) and cuts the page out. Nulls come last. */
export function cutPage<Item>(
	items: readonly Item[],
	{ page, pageSize, direction }: PageRequest,
	keyOf: (item: Item) => string | number | null,
	tieOf: (item: Item) => string,
): { items: Item[]; total: number } {
	const sign = direction === "ascending" ? 1 : -1;
	const keyed = items.map((item) => ({ item, key: keyOf(item), tie: tieOf(item) }));
	keyed.sort((a, b) => {
		if (a.key === null || b.key === null)
			return Number(a.key === null) - Number(b.key === null) || compare(a.tie, b.tie);
		return sign * compare(a.key, b.key) || compare(a.tie, b.tie);
	});
	const start = (page - 1) * pageSize;
	return { items: keyed.slice(start, start + pageSize).map(({ item }) => item), total: items.length };
}

/** Whether any of the texts contains the filter; case does not matter. */
export function matches(filter: string, ...texts: readonly string[]): boolean {
	const wanted = filter.trim().toLowerCase();
	return wanted === "" || texts.some((text) => text.toLowerCase().includes(wanted));
}

/** Names with numbers sort as people count: web-2 before web-10. */
function compare(a: string | number, b: string | number): number {
	if (typeof a === "number" && typeof b === "number") return a - b;
	return collator.compare(String(a), String(b));
}

const collator = new Intl.Collator("en", { numeric: true });
