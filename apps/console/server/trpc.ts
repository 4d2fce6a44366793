import { asSternaError, type ErrorCode, SternaError } from "@sterna/shared/errors";
import { initTRPC, TRPCError } from "@trpc/server";
import type { Context, Session } from "./context.ts";
import type { Role } from "./views.ts";

interface Meta {
	/** The least role that may call; null for the doors before sign-in. Set by the builders below only. */
	role: Role | null;
}

const t = initTRPC
	.context<Context>()
	.meta<Meta>()
	.create({
		/** `data.sterna` carries the code a program acts on and the cure a person reads; no stack ever leaves. */
		errorFormatter: ({ shape, error }) => {
			const sterna = asWire(error);
			return {
				...shape,
				message: sterna.message,
				data: { code: shape.data.code, httpStatus: shape.data.httpStatus, path: shape.data.path ?? null, sterna },
			};
		},
	});

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

const trpcCodes: Record<ErrorCode, TRPCError["code"]> = {
	not_found: "NOT_FOUND",
	wrong_state: "PRECONDITION_FAILED",
	host_offline: "PRECONDITION_FAILED",
	incompatible: "PRECONDITION_FAILED",
	no_capacity: "PRECONDITION_FAILED",
	conflict: "CONFLICT",
	invalid: "BAD_REQUEST",
	forbidden: "FORBIDDEN",
	unauthenticated: "UNAUTHORIZED",
	unavailable: "SERVICE_UNAVAILABLE",
	cancelled: "CLIENT_CLOSED_REQUEST",
	timeout: "TIMEOUT",
	internal: "INTERNAL_SERVER_ERROR",
};

/** What a browser sees of an error; also for those that tRPC itself makes (unknown path, wrong method, bad input). */
function asWire(error: TRPCError) {
	if (error.cause) return asSternaError(error.cause).toWire();
	const code = (Object.entries(trpcCodes) as [ErrorCode, TRPCError["code"]][]).find(
		([, trpcCode]) => trpcCode === error.code,
	)?.[0];
	return code && code !== "internal"
		? new SternaError(code, error.message).toWire()
		: error.code === "INTERNAL_SERVER_ERROR"
			? asSternaError(error.cause).toWire()
			: new SternaError("invalid", error.message).toWire();
}

/** Every error leaves with the HTTP status of its code; what is not ours is logged here, once. */
const translateErrors = t.middleware(async ({ ctx, path, type, next }) => {
	if (ctx.transport === "webSocket" && type !== "subscription") {
		throw new TRPCError({ code: "METHOD_NOT_SUPPORTED", message: "the WebSocket carries subscriptions only" });
	}
	const result = await next();
	if (result.ok) return result;
	const cause = result.error.cause ?? result.error;
	if (cause instanceof TRPCError) return result;
	const error = asSternaError(cause);
	if (error.code === "internal") ctx.console.log.error({ err: cause, path }, "procedure failed");
	throw new TRPCError({ code: trpcCodes[error.code], message: error.message, cause: error });
});

const rank: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };

/** The session is read from the database for every call: a role taken away or a sign-out holds at once. */
const requireRole = (role: Role) =>
	t.middleware(async ({ ctx, next }) => {
		const session: Session | null = await ctx.session();
		if (!session) throw new SternaError("unauthenticated", "nobody is signed in", { cure: "sign in and try again" });
		if (rank[session.user.role] < rank[role]) {
			throw new SternaError("forbidden", `this needs the role ${role}; ${session.user.name} is ${session.user.role}`, {
				cure: "ask an admin",
			});
		}
		return next({ ctx: { ...ctx, user: session.user, sessionId: session.id } });
	});

const base = t.procedure.use(translateErrors);

/** Before sign-in: the state of the first run, and signing in. Nothing else. */
export const publicProcedure = base.meta({ role: null });
export const viewerProcedure = base.meta({ role: "viewer" }).use(requireRole("viewer"));
export const operatorProcedure = base.meta({ role: "operator" }).use(requireRole("operator"));
export const adminProcedure = base.meta({ role: "admin" }).use(requireRole("admin"));
