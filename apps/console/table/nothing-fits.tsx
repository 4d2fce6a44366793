"use client";
import { Button } from "../ui/button.tsx";
import { Empty } from "../ui/empty.tsx";
import type { TableUrl } from "./url-state.ts";

/** A filter left nothing of the list; the way back to all of it. */
export function NothingFits<Sort extends string>({ url, title }: { url: TableUrl<Sort>; title: string }) {
	return <Empty title={title} action={<Button onClick={url.clear}>Take the filter away</Button>} />;
}

/** The rows of this page are gone, or the address names a page that never was; the way back to those that are there. */
export function PastTheEnd<Sort extends string>({ url }: { url: TableUrl<Sort> }) {
	return (
		<Empty
			title="The list ends before this page."
			action={<Button onClick={() => url.set({ page: 1 })}>First page</Button>}
		/>
	);
}
