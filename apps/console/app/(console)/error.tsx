"use client";
import { Button } from "../../ui/button.tsx";

/** A page that broke while it was drawn; the rest of the console goes on. */
export default function PageError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
	return (
		<div role="alert" className="flex flex-col items-start gap-3 py-6">
			<title>Error · Sterna</title>
			<h1 className="text-title font-semibold">This page could not be drawn.</h1>
			<p className="max-w-prose text-soft">
				Guests and hosts are not affected. Try again; if it stays, report what stands here
				{error.digest ? ` with the number ${error.digest}` : ""}.
			</p>
			<p className="font-mono text-sm text-soft wrap-anywhere">{error.message}</p>
			<Button kind="primary" onClick={reset}>
				Try again
			</Button>
		</div>
	);
}
