import { z } from "zod";
import { publicProcedure, router, viewerProcedure } from "../trpc.ts";
import { Me } from "../views.ts";

export const session = router({
	/** Who is signed in; null when nobody is. */
	me: publicProcedure.output(Me.nullable()).query(async ({ ctx }) => (await ctx.session())?.user ?? null),
	/** Sets the session's cookie. `account` is a user name or an email address. Throttled per account and address. */
	signIn: publicProcedure
		.input(z.strictObject({ account: z.string().min(1).max(200), password: z.string().min(1).max(128) }))
		.output(Me)
		.mutation(async ({ ctx, input }) => {
			const { me, cookies } = await ctx.console.people.signIn(input.account, input.password, ctx.clientAddress);
			cookies.forEach(ctx.setCookie);
			return me;
		}),
	/** Ends the session: its cookie, its live subscriptions and its serial consoles. */
	signOut: viewerProcedure.output(z.object({ signedOut: z.literal(true) })).mutation(async ({ ctx }) => {
		const cookies = await ctx.console.people.signOut(ctx.sessionId, ctx.headers);
		cookies.forEach(ctx.setCookie);
		return { signedOut: true };
	}),
});
