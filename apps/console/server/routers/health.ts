import { SensorKind, Severity } from "@sterna/shared/health";
import { HostId } from "@sterna/shared/ids";
import { z } from "zod";
import { listFindings } from "../health/list.ts";
import { router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { FindingView } from "../views-hosts.ts";

export const health = router({
	/** What is failing and how we know; the worst first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["severity", "lastSeenAt", "host"]).default("severity"),
				state: z
					.array(z.enum(["open", "cleared", "released"]))
					.max(3)
					.default(["open"]),
				severity: z.array(Severity).max(3).optional(),
				sensor: z.array(SensorKind).max(6).optional(),
				hostId: HostId.optional(),
			}),
		)
		.output(pageOf(FindingView))
		.query(({ ctx: { console }, input }) => listFindings(console.core, input)),
});
