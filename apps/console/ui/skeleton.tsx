import { clsx } from "clsx";

/** Holds the place of words that are on their way; give it the height of what will stand there. */
export function Skeleton({ className }: { className?: string }) {
	return <div aria-hidden className={clsx("rounded bg-sunken", className ?? "h-4 w-full")} />;
}

/** Rows of a list on its way. */
export function SkeletonRows({ count, height = "h-10" }: { count: number; height?: string }) {
	return (
		<div role="status" aria-label="Loading" className="flex flex-col gap-2">
			{Array.from({ length: count }, (_, row) => row).map((row) => (
				<Skeleton key={row} className={height} />
			))}
		</div>
	);
}
