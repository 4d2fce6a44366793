import { SternaError } from "@sterna/shared/errors";
import { HostId, RepositoryId } from "@sterna/shared/ids";
import { z } from "zod";
import { earliestDue, schedulesOf } from "../backups/next-due.ts";
import { breakSomething, DemoAction } from "../demo.ts";
import { adminProcedure, router, viewerProcedure } from "../trpc.ts";

export type { DemoAction } from "../demo.ts";

const dayMs = 24 * 3_600_000;
/** The clock is set so much behind what is due. */
const pastDueMs = 500;

export const demo = router({
	/** `active`: this is the demo's console, and things may be broken on purpose. */
	state: viewerProcedure
		.output(
			z.object({
				active: z.boolean(),
				actions: z.array(DemoAction),
				clockOffsetMs: z.number(),
				/** What is due first by the clock of schedules; null when nothing ever is, and where this is no demo. */
				nextDue: z.object({ what: z.string(), at: z.number() }).nullable(),
			}),
		)
		.query(({ ctx }) => {
			const { environment, backups } = ctx.console;
			const { clock } = backups;
			const active = environment.demoSocket !== null;
			return {
				active,
				actions: active ? DemoAction.options : [],
				clockOffsetMs: clock.offsetMs,
				nextDue: active ? earliestDue(schedulesOf(backups), clock.now()) : null,
			};
		}),
	/** Sets the clock of backup schedules to just after what is due first, so that no run is passed by. */
	skipToNextDue: adminProcedure.output(z.object({ what: z.string(), at: z.number() })).mutation(async ({ ctx }) => {
		const { environment, backups, core } = ctx.console;
		if (!environment.demoSocket) throw notDemo();
		const next = earliestDue(schedulesOf(backups), backups.clock.now());
		if (!next)
			throw new SternaError("not_found", "nothing is due by any schedule", { cure: "make a backup job first" });
		backups.clock.setOffset(next.at + pastDueMs - core.now());
		await core.events.append({
			...{ kind: "demo.clockSet", actor: ctx.user.name, objects: [] },
			sentence: `${ctx.user.name} set the clock of backup schedules to when ${next.what} is due`,
		});
		return next;
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
		.mutation(async ({ ctx, input: { ms } }) => {
			const { environment, backups, core } = ctx.console;
			if (!environment.demoSocket) throw notDemo();
			backups.clock.setOffset(ms);
			await core.events.append({
				...{ kind: "demo.clockSet", actor: ctx.user.name, objects: [] },
				sentence: `${ctx.user.name} set the clock of backup schedules off by ${Math.round(ms / 60_000)} min`,
			});
			return { clockOffsetMs: ms };
		}),
	/** Damages the repository on its disk, behind everybody's back: the next scrub finds it. */
	breakRepository: adminProcedure
		.input(z.strictObject({ id: RepositoryId }))
		.output(z.object({ message: z.string() }))
		.mutation(async ({ ctx, input }) => {
			const { environment, backups, core } = ctx.console;
			const { demoSocket } = environment;
			const { id, name, kind } = backups.repositories.get(input.id);
			if (!demoSocket) throw notDemo();
			if (kind !== "directory") throw new SternaError("wrong_state", "the demo damages repositories in folders only");
			await breakSomething(demoSocket, { action: "damageRepository", repositoryId: id });
			await core.events.append({
				...{ kind: "demo.broken", actor: ctx.user.name, objects: [{ type: "repository", id, name }] },
				sentence: `${ctx.user.name} asked the demo to damage the repository ${name}`,
			});
			return { message: `${name} is damaged; the next scrub finds it` };
		}),
	break: adminProcedure
		.input(z.strictObject({ action: DemoAction, hostId: HostId }))
		.output(z.object({ message: z.string() }))
		.mutation(async ({ ctx, input: { action, hostId } }) => {
			const { demoSocket } = ctx.console.environment;
			const { name, id } = ctx.console.core.inventory.host(hostId);
			if (!demoSocket) throw notDemo();
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

function notDemo(): SternaError {
	return new SternaError("wrong_state", "this console is not a demo; nothing is broken on purpose");
}
