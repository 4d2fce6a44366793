import { overview as overviewOf } from "../present/overview.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { Overview } from "../views-overview.ts";

export const overview = router({
	/** Is anything wrong, what is being done, what needs me. */
	get: viewerProcedure
		.output(Overview)
		.query(({ ctx: { console } }) =>
			overviewOf(console.core, console.backups, console.environment.demoSocket !== null),
		),
});
