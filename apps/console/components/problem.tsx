import { ErrorCode } from "@sterna/shared/errors";
import { toast } from "sonner";
import { z } from "zod";
import { Button } from "../ui/button.tsx";
import { Notice } from "../ui/notice.tsx";
import { sentence, statement } from "./words.ts";

/** What went wrong, for the reader: the sentence and what to do about it. */
export interface Problem {
	code: ErrorCode;
	message: string;
	cure: string | null;
}

const ErrorShape = z.object({
	message: z.string(),
	data: z.object({ sterna: z.object({ code: ErrorCode, message: z.string(), cure: z.string().optional() }) }).nullish(),
});

/** Any thrown value as a problem; a lost connection is named as such. */
export function problemOf(thrown: unknown): Problem {
	const sterna = ErrorShape.safeParse(thrown).data?.data?.sterna;
	if (sterna) {
		return { code: sterna.code, message: statement(sterna.message), cure: sterna.cure ? sentence(sterna.cure) : null };
	}
	return {
		code: "unavailable",
		message: "The console did not answer.",
		cure: "Check that it runs and that this machine reaches it; then try again.",
	};
}

/** A problem that stands where the answer would. What is forbidden is not tried again: it takes another role. */
export function ProblemNotice(props: { error: unknown; onRetry?: () => void; className?: string }) {
	const { error, onRetry, className } = props;
	const { code, message, cure } = problemOf(error);
	return (
		<Notice tone="bad" title={message} cure={cure} className={className}>
			{onRetry && code !== "forbidden" && (
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
