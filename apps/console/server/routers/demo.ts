import { SternaError } from "@sterna/shared/errors";
import { HostId, RepositoryId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { breakSomething, DemoAction } from "../demo.ts";
import { adminProcedure, router, viewerProcedure } from "../trpc.ts";

export type { DemoAction } from "../demo.ts";

const dayMs = 24 * 3_600_000;

export const demo = router({
	/** `active`: this is the demo's console, and things may be broken on purpose. */
	state: viewerProcedure
		.output(z.object({ active: z.boolean(), actions: z.array(DemoAction), clockOffsetMs: z.number() }))
		.query(({ ctx }) => {
			const active = ctx.console.environment.demoSocket !== null;
			return { active, actions: active ? DemoAction.options : [], clockOffsetMs: 0 };
		}),
	/** Sets the clock of backup schedules off against the real one, so that nobody has to wait for the night. */
	setClockOffset: adminProcedure
		.input(
			z.strictObject({
				ms: z
					.int()
					.min(-400 * dayMs)
					.max(400 * dayMs),
			}),
		)
		.output(z.object({ clockOffsetMs: z.number() }))
		.mutation(() => notBuilt()),
	/** Damages the repository on its disk, behind everybody's back: the next scrub finds it. */
	breakRepository: adminProcedure
		.input(z.strictObject({ id: RepositoryId }))
		.output(z.object({ message: z.string() }))
		.mutation(() => notBuilt()),
	break: adminProcedure
		.input(z.strictObject({ action: DemoAction, hostId: HostId }))
		.output(z.object({ message: z.string() }))
		.mutation(async ({ ctx, input: { action, hostId } }) => {
			const { demoSocket } = ctx.console.environment;
			const { name, id } = ctx.console.core.inventory.host(hostId);
			if (!demoSocket) throw new SternaError("wrong_state", "this console is not a demo; nothing is broken on purpose");
			await breakSomething(demoSocket, { action, host: name });
			await ctx.console.core.events.append({
				kind: "demo.broken",
				actor: ctx.user.name,
				objects: [{ type: "host", id, name }],
				sentence: `${ctx.user.name} asked the demo for ${action} on ${name}`,
			});
			return { message: `${name}: ${action}` };
		}),
});
