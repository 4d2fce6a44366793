import { HostId } from "@sterna/shared/ids";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { adminProcedure, router, viewerProcedure } from "../trpc.ts";

export const DemoAction = z.enum(["memoryErrors", "failingDisk", "killAgent", "cutNetwork", "heal"]);
export type DemoAction = z.infer<typeof DemoAction>;

export const demo = router({
	/** `active`: this is the demo's console, and things may be broken on purpose. */
	state: viewerProcedure.output(z.object({ active: z.boolean(), actions: z.array(DemoAction) })).query(notBuilt),
	break: adminProcedure
		.input(z.strictObject({ action: DemoAction, hostId: HostId }))
		.output(z.object({ message: z.string() }))
		.mutation(notBuilt),
});
