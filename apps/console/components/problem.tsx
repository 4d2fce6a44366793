import { toast } from "sonner";
import { z } from "zod";
import { Button } from "../ui/button.tsx";
import { Notice } from "../ui/notice.tsx";

/** What went wrong, for the reader: the sentence and what to do about it. */
export interface Problem {
	message: string;
	cure: string | null;
}

const ErrorShape = z.object({ message: z.string(), data: z.object({ cure: z.string().nullish() }).nullish() });

/** Any thrown value as a problem; a lost connection is named as such. */
export function problemOf(thrown: unknown): Problem {
	const { data: error } = ErrorShape.safeParse(thrown);
	if (!error) return { message: "Something unexpected happened.", cure: "Reload the page and try again." };
	if (!error.data && /fetch|network|socket/i.test(error.message)) {
		return { message: "The console could not be reached.", cure: "Check that it runs; this page tries again by itself." };
	}
	return { message: sentence(error.message), cure: error.data?.cure ? sentence(error.data.cure) : null };
}

function sentence(text: string): string {
	const start = text.charAt(0).toUpperCase() + text.slice(1);
	return /[.!?…]$/.test(start) ? start : `${start}.`;
}

/** A problem that stands where the answer would. */
export function ProblemNotice({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
	const { message, cure } = problemOf(error);
	return (
		<Notice tone="bad" title={message} cure={cure}>
			{onRetry && (
				<div className="mt-2">
					<Button small onClick={onRetry}>
						Try again
					</Button>
				</div>
			)}
		</Notice>
	);
}

/** A problem of something the reader just asked for. */
export function toastProblem(title: string, error: unknown): void {
	const { message, cure } = problemOf(error);
	toast.error(title, { description: cure ? `${message} ${cure}` : message, duration: 12_000 });
}
