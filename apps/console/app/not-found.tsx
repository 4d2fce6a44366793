import Link from "next/link";
import { buttonClass } from "../ui/button-class.ts";

export default function NotFound() {
	return (
		<main className="mx-auto flex min-h-dvh max-w-[520px] flex-col items-start justify-center gap-3 px-4">
			<title>Not found · Sterna</title>
			<h1 className="text-title font-semibold">There is no such page.</h1>
			<p className="text-soft">The link may be incomplete, or what it led to is gone.</p>
			<Link href="/" className={buttonClass("primary")}>
				Overview
			</Link>
		</main>
	);
}
