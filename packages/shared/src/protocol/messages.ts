import { z } from "zod";
import { WireError } from "../errors.ts";

/** Largest frame that either side accepts, in UTF-16 code units. */
export const maxFrameLength = 4 * 1024 * 1024;

const CallId = z.int().min(1);

/** The first frame on every connection, from both sides, before anything else. */
export const Hello = z.strictObject({
	type: z.literal("hello"),
	versions: z.array(z.int()).min(1).max(100),
	/** Name and version of the program, for the log. */
	program: z.string().max(100),
	/** Rises with every connection that the agent makes; a number that was seen before means a copied key. */
	connection: z.int().min(0).optional(),
});

/** One JSON text per frame. `call` and `cancel` come from the caller, the others from the callee. */
export const Message = z.discriminatedUnion("type", [
	Hello,
	z.strictObject({ type: z.literal("call"), id: CallId, command: z.string().max(64), input: z.unknown() }),
	z.strictObject({ type: z.literal("result"), id: CallId, output: z.unknown() }),
	z.strictObject({ type: z.literal("error"), id: CallId, error: WireError }),
	/** One item of a stream. */
	z.strictObject({ type: z.literal("item"), id: CallId, output: z.unknown() }),
	/** The stream is over. */
	z.strictObject({ type: z.literal("end"), id: CallId }),
	/** The caller wants no answer any more. */
	z.strictObject({ type: z.literal("cancel"), id: CallId }),
]);
export type Message = z.infer<typeof Message>;
