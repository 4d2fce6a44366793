import { z } from "zod";

/** What a program can act on. The sentence beside it is for the person. */
export const ErrorCode = z.enum([
	"not_found",
	"wrong_state",
	"host_offline",
	"incompatible",
	"no_capacity",
	"conflict",
	"invalid",
	"forbidden",
	"unauthenticated",
	"unavailable",
	"cancelled",
	"timeout",
	"internal",
]);
export type ErrorCode = z.infer<typeof ErrorCode>;

/** An error as it crosses a socket: never a stack, never a path of the server. */
export const WireError = z.strictObject({
	code: ErrorCode,
	message: z.string().max(4000),
	cure: z.string().max(2000).optional(),
});
export type WireError = z.infer<typeof WireError>;

/** An error for the next actor: a code for programs, a sentence that names the thing, and what to do about it. */
export class SternaError extends Error {
	readonly code: ErrorCode;
	readonly cure: string | undefined;

	constructor(code: ErrorCode, message: string, options: { cure?: string; cause?: unknown } = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.name = "SternaError";
		this.code = code;
		this.cure = options.cure;
	}

	/** What the other side of a socket may see. */
	toWire(): WireError {
		return { code: this.code, message: this.message, ...(this.cure ? { cure: this.cure } : {}) };
	}

	static fromWire(wire: WireError): SternaError {
		return new SternaError(wire.code, wire.message, wire.cure ? { cure: wire.cure } : {});
	}
}

/** Anything thrown, as a SternaError. What is not ours becomes `internal` with a sentence that leaks nothing. */
export function asSternaError(thrown: unknown): SternaError {
	if (thrown instanceof SternaError) return thrown;
	if (thrown instanceof z.ZodError) return new SternaError("invalid", zodSentence(thrown), { cause: thrown });
	if (thrown instanceof Error && thrown.name === "AbortError")
		return new SternaError("cancelled", "the operation was cancelled", { cause: thrown });
	return new SternaError("internal", "an unexpected error occurred; the log of this server names it", {
		cause: thrown,
	});
}

/** The first three problems of a zod error in one sentence: `name: too long; vcpus: expected number`. */
export function zodSentence(error: z.ZodError): string {
	return error.issues
		.slice(0, 3)
		.map((issue) => (issue.path.length > 0 ? `${issue.path.join(".")}: ${issue.message}` : issue.message))
		.join("; ");
}
