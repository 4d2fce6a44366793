import { Boot, GuestMemoryBytes, GuestMetrics, GuestState, VcpuCount } from "@sterna/shared/guest";
import { GuestId, HostId, MigrationId, TimestampMs } from "@sterna/shared/ids";
import { MigrationOptions } from "@sterna/shared/migration";
import { Name, ResourceName } from "@sterna/shared/names";
import { VolumeSizeBytes } from "@sterna/shared/volume";
import { z } from "zod";
import { notBuilt } from "../not-built.ts";
import { operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import {
	BulkResult,
	CreatePlan,
	GuestRow,
	GuestView,
	MigrationPlanView,
	pageOf,
	paging,
	SerialTicket,
} from "../views.ts";

const oneGuest = z.strictObject({ guestId: GuestId });

/** What a person says of a new guest; ids and addresses are made by the console. */
export const NewGuest = z.strictObject({
	name: Name,
	vcpus: VcpuCount,
	memoryBytes: GuestMemoryBytes,
	boot: Boot,
	volumes: z
		.array(z.strictObject({ pool: ResourceName, sizeBytes: VolumeSizeBytes, fromImage: ResourceName.optional() }))
		.max(16),
	networks: z.array(ResourceName).max(8),
	/** A chosen host; the planner chooses without. */
	hostId: HostId.optional(),
});
export type NewGuest = z.infer<typeof NewGuest>;

/** Actions that need nothing but the guest; the same words as `refuseGuestAction` of the shared package. */
export const PowerAction = z.enum(["start", "shutDown", "powerOff", "pause", "resume", "delete"]);
export type PowerAction = z.infer<typeof PowerAction>;

const accepted = z.object({ guestId: GuestId, state: GuestState });
const power = operatorProcedure.input(oneGuest).output(accepted);

export const guests = router({
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				sort: z.enum(["name", "state", "host", "cpu", "memory"]).default("name"),
				state: z.array(GuestState).max(7).optional(),
				hostId: HostId.optional(),
			}),
		)
		.output(pageOf(GuestRow))
		.query(notBuilt),
	get: viewerProcedure.input(oneGuest).output(GuestView).query(notBuilt),
	metrics: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, since: TimestampMs }))
		.output(z.object({ samples: z.array(GuestMetrics) }))
		.query(notBuilt),

	/** Where it would go and why; may be asked while the form is half filled. */
	planCreate: operatorProcedure
		.input(NewGuest.partial({ name: true, boot: true }))
		.output(CreatePlan)
		.query(notBuilt),
	/** Creates the guest, stopped, and starts it when `start`. */
	create: operatorProcedure
		.input(NewGuest.extend({ start: z.boolean().default(true) }))
		.output(accepted)
		.mutation(notBuilt),

	start: power.mutation(notBuilt),
	/** Presses the power button; the guest ends when it likes. */
	shutDown: power.mutation(notBuilt),
	powerOff: power.mutation(notBuilt),
	pause: power.mutation(notBuilt),
	resume: power.mutation(notBuilt),
	delete: power.mutation(notBuilt),
	/** One action on many guests; each has a result of its own. */
	bulk: operatorProcedure
		.input(z.strictObject({ action: PowerAction, guestIds: z.array(GuestId).min(1).max(200) }))
		.output(z.object({ results: z.array(BulkResult) }))
		.mutation(notBuilt),

	/** Every other host as a target. */
	planMigration: operatorProcedure.input(oneGuest).output(MigrationPlanView).query(notBuilt),
	/** Begins a move; follow it at /migrations/<id>. Without a target the planner chooses. */
	migrate: operatorProcedure
		.input(
			z.strictObject({
				guestId: GuestId,
				targetHostId: HostId.optional(),
				options: MigrationOptions.default({ maxDowntimeMs: 1000, autoConverge: true }),
			}),
		)
		.output(z.object({ migrationId: MigrationId }))
		.mutation(notBuilt),

	/** Opens the guest's serial line for writing too. The ticket is the first frame on the WebSocket at `path`. */
	openSerial: operatorProcedure.input(oneGuest).output(SerialTicket).mutation(notBuilt),
});
