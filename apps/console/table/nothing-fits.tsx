"use client";
import { Button } from "../ui/button.tsx";
import { Empty } from "../ui/empty.tsx";
import type { TableUrl } from "./url-state.ts";

/** A filter left nothing of the list; the way back to all of it. */
export function NothingFits<Sort extends string>({ url, title }: { url: TableUrl<Sort>; title: string }) {
	return <Empty title={title} action={<Button onClick={url.clear}>Take the filter away</Button>} />;
}
