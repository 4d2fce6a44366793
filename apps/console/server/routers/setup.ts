import { z } from "zod";
import { publicProcedure, router } from "../trpc.ts";
import { Me } from "../views.ts";

/** Good passwords are long; nothing else is asked of them (NIST SP 800-63B §3.1.1). */
export const Password = z.string().min(10, "a password has at least 10 characters").max(128);
export const UserName = z
	.string()
	.min(2)
	.max(32)
	.regex(/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$/, "has lower-case letters, digits, dots, underscores and hyphens");

export const setup = router({
	/** Whether the first admin is still missing: then every page leads to /setup. `demo`: the console of `./sterna demo`. */
	state: publicProcedure
		.output(z.object({ needsAdmin: z.boolean(), demo: z.boolean() }))
		.query(async ({ ctx: { console } }) => ({
			needsAdmin: await console.people.needsAdmin(),
			demo: console.environment.demoSocket !== null,
		})),
	/** Makes the first admin and signs in (sets the cookie). The token stands in the link that the console printed; one use. */
	createAdmin: publicProcedure
		.input(
			z.strictObject({
				token: z.string().max(100),
				userName: UserName,
				email: z.email().max(200),
				password: Password,
			}),
		)
		.output(Me)
		.mutation(async ({ ctx, input }) => {
			const { me, cookies } = await ctx.console.people.createAdmin(input, ctx.clientAddress);
			cookies.forEach(ctx.setCookie);
			return me;
		}),
});
