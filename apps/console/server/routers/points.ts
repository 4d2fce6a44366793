import { Retention } from "@sterna/backup/job";
import { TimeZone } from "@sterna/backup/schedule";
import { GuestId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { Remark } from "@sterna/shared/names";
import { commands } from "@sterna/shared/protocol/commands";
import { z } from "zod";
import { notBuilt } from "../backups/not-built.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { DownloadTicket, PointCalendar, PointRow, PointView, RetentionPreview } from "../views-backups.ts";

const one = z.strictObject({ id: PointId });
const done = z.object({ id: PointId });
const device = z.string().min(1).max(200);

export const points = router({
	/** The newest first by default. */
	list: viewerProcedure
		.input(
			z.strictObject({
				...paging,
				direction: z.enum(["ascending", "descending"]).default("descending"),
				sort: z.enum(["takenAt", "guest", "stored"]).default("takenAt"),
				guestId: GuestId.optional(),
				repositoryId: RepositoryId.optional(),
			}),
		)
		.output(pageOf(PointRow))
		.query(() => notBuilt()),
	get: viewerProcedure
		.input(one)
		.output(PointView)
		.query(() => notBuilt()),
	/** A month of a guest's points by day. */
	calendar: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, month: z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/), timeZone: TimeZone }))
		.output(PointCalendar)
		.query(() => notBuilt()),
	/** Keeps the point whatever the retention says. */
	protect: adminProcedure
		.input(z.strictObject({ id: PointId, reason: Remark.min(1) }))
		.output(done)
		.mutation(() => notBuilt()),
	unprotect: adminProcedure
		.input(one)
		.output(done)
		.mutation(() => notBuilt()),
	/** Removes points at once and for good; protected ones are refused, and then none is removed. */
	remove: adminProcedure
		.input(z.strictObject({ ids: z.array(PointId).min(1).max(500) }))
		.output(z.object({ removed: z.int() }))
		.mutation(() => notBuilt()),
	/** What a retention would keep of a guest's points, and why. */
	retention: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, retention: Retention, timeZone: TimeZone }))
		.output(RetentionPreview)
		.query(() => notBuilt()),

	/** File systems inside one of the point's disks. The first question takes the longest. */
	fileSystems: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId }))
		.output(commands["files.fileSystems"].output)
		.query(() => notBuilt()),
	files: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId, device, folder: z.string().max(4096) }))
		.output(commands["files.list"].output)
		.query(() => notBuilt()),
	/** GET the answer's `url` once: it streams the file as an attachment. */
	downloadTicket: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId, device, path: z.string().min(1).max(4096) }))
		.output(DownloadTicket)
		.mutation(() => notBuilt()),
});
