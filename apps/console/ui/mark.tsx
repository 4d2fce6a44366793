/** The tern: the product's mark. */
export function Mark({ className }: { className?: string }) {
	return (
		<svg
			aria-hidden="true"
			className={className}
			viewBox="0 0 24 24"
			fill="none"
			stroke="currentColor"
			strokeWidth="1.8"
			strokeLinecap="round"
			strokeLinejoin="round"
		>
			<path d="M2 9c5-1 8 1 10 5 2-5 6-8 10-9-2 6-5 10-10 12-3-1-6-4-10-8z" />
		</svg>
	);
}
