import { HealthState } from "@sterna/shared/health";
import { HostConnection, HostMode } from "@sterna/shared/host";
import { EvacuationId, HostId, TimestampMs } from "@sterna/shared/ids";
import { Remark } from "@sterna/shared/names";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { HostMetricsView, HostRow, HostView, JoinTokenView, MaintenancePlan, pageOf, paging } from "../views.ts";

const oneHost = z.strictObject({ hostId: HostId });

export const hosts = router({
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				sort: z.enum(["health", "name", "cpu", "memory", "guests"]).default("name"),
				health: z.array(HealthState).max(5).optional(),
				connection: z.array(HostConnection).max(3).optional(),
				mode: z.array(HostMode).max(3).optional(),
			}),
		)
		.output(pageOf(HostRow))
		.query(notBuilt),
	get: viewerProcedure.input(oneHost).output(HostView).query(notBuilt),
	/** Samples since a time, oldest first: from the agent while it is online (fine), from the console's roll-ups otherwise. */
	metrics: viewerProcedure
		.input(z.strictObject({ hostId: HostId, since: TimestampMs }))
		.output(HostMetricsView)
		.query(notBuilt),
	planMaintenance: operatorProcedure.input(oneHost).output(MaintenancePlan).query(notBuilt),
	/** Empties the host and keeps it out of service. Follow it at /evacuations/<id>. */
	setMaintenance: operatorProcedure
		.input(z.strictObject({ hostId: HostId, reason: Remark.default("") }))
		.output(z.object({ evacuationId: EvacuationId }))
		.mutation(notBuilt),
	/** Back to service. Refused while a failing finding is open: release it first. */
	leaveMaintenance: operatorProcedure
		.input(oneHost)
		.output(z.object({ mode: HostMode }))
		.mutation(notBuilt),
	/** Says that the part was replaced or the finding was wrong; it may come back when the sensor sees it again. */
	releaseFinding: operatorProcedure
		.input(z.strictObject({ hostId: HostId, findingId: z.string().max(100), reason: Remark }))
		.output(z.object({ released: z.literal(true) }))
		.mutation(notBuilt),
	/** Refuses the host's certificate from now on and closes its connection. Its guests run on, unseen. */
	revoke: adminProcedure
		.input(z.strictObject({ hostId: HostId, reason: Remark.default("") }))
		.output(z.object({ connection: HostConnection }))
		.mutation(notBuilt),
	createJoinToken: adminProcedure
		.input(z.strictObject({ remark: Remark.default("") }))
		.output(JoinTokenView)
		.mutation(notBuilt),
});
