import { Retention } from "@sterna/backup/job";
import { TimeZone } from "@sterna/backup/schedule";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, PointId, RepositoryId, VolumeId } from "@sterna/shared/ids";
import { Remark } from "@sterna/shared/names";
import { commands } from "@sterna/shared/protocol/commands";
import { z } from "zod";
import type { Backups } from "../backups/backups.ts";
import { calendarOf, listPoints, pointView } from "../backups/present-points.ts";
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
		.query(({ ctx: { console }, input }) => listPoints(console.core, console.backups, input)),
	get: viewerProcedure
		.input(one)
		.output(PointView)
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			return pointView(core, backups, await backups.catalogue.get(input.id));
		}),
	/** A month of a guest's points by day. */
	calendar: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, month: z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/), timeZone: TimeZone }))
		.output(PointCalendar)
		.query(({ ctx: { console }, input }) => calendarOf(console.core, console.backups, input)),
	/** Keeps the point whatever the retention says. */
	protect: adminProcedure
		.input(z.strictObject({ id: PointId, reason: Remark.min(1) }))
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { catalogue } = ctx.console.backups;
			const protectedBy = `${ctx.user.name}: ${input.reason}`;
			await catalogue.setProtection(await catalogue.get(input.id), protectedBy, ctx.user.name, input.reason);
			return { id: input.id };
		}),
	unprotect: adminProcedure
		.input(one)
		.output(done)
		.mutation(async ({ ctx, input }) => {
			const { catalogue } = ctx.console.backups;
			await catalogue.setProtection(await catalogue.get(input.id), null, ctx.user.name, null);
			return { id: input.id };
		}),
	/** Removes points at once and for good; protected ones are refused, and then none is removed. */
	remove: adminProcedure
		.input(z.strictObject({ ids: z.array(PointId).min(1).max(500) }))
		.output(z.object({ removed: z.int() }))
		.mutation(async ({ ctx, input }) => {
			const { catalogue } = ctx.console.backups;
			const found = await Promise.all([...new Set(input.ids)].map((id) => catalogue.get(id)));
			return { removed: await catalogue.remove(found, { actor: ctx.user.name, why: null, leaveOutInUse: false }) };
		}),
	/** What a retention would keep of a guest's points, and why. */
	retention: viewerProcedure
		.input(z.strictObject({ guestId: GuestId, retention: Retention, timeZone: TimeZone }))
		.output(RetentionPreview)
		.query(async ({ ctx: { console }, input }) => {
			const { core, backups } = console;
			core.inventory.guest(input.guestId);
			const rows = await backups.retention.preview(input.guestId, input.retention, input.timeZone);
			return {
				points: rows.map(({ point, verdict }) => ({
					...{ pointId: point.id, takenAt: point.takenAt, keptBy: verdict.keptBy, protectedBy: point.protectedBy },
				})),
			};
		}),

	/** File systems inside one of the point's disks. The first question takes the longest. */
	fileSystems: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId }))
		.output(commands["files.fileSystems"].output)
		.query(async ({ ctx: { console }, input }) => {
			const { hostId, point, access } = await readerOf(console.backups, input);
			const { volumeId } = input;
			const question = { access, pointId: point.id, volumeId };
			return console.hub.call(hostId, "files.fileSystems", question, { timeoutMs: lookTimeoutMs });
		}),
	files: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId, device, folder: z.string().max(4096) }))
		.output(commands["files.list"].output)
		.query(async ({ ctx: { console }, input }) => {
			const { hostId, point, access } = await readerOf(console.backups, input);
			const { volumeId, device, folder } = input;
			const question = { access, pointId: point.id, volumeId, device, folder };
			return console.hub.call(hostId, "files.list", question, { timeoutMs: lookTimeoutMs });
		}),
	/** GET the answer's `url` once: it streams the file as an attachment. */
	downloadTicket: operatorProcedure
		.input(z.strictObject({ id: PointId, volumeId: VolumeId, device, path: z.string().min(1).max(4096) }))
		.output(DownloadTicket)
		.mutation(async ({ ctx, input }) => {
			const { backups } = ctx.console;
			await readerOf(backups, input);
			const { userId, name: actor } = ctx.user;
			return backups.downloads.issue(input, { userId, sessionId: ctx.sessionId, actor });
		}),
});

/** The first look into a disk boots a small machine. */
const lookTimeoutMs = 180_000;

/** Who can read from the point. @throws {SternaError} `not_found` for a foreign point or disk; `unavailable`. */
async function readerOf(
	{ catalogue, repositories, reach }: Backups,
	{ id, volumeId }: { id: PointId; volumeId: VolumeId },
) {
	const point = await catalogue.get(id);
	if (!point.manifest.volumes.some((volume) => volume.volumeId === volumeId)) {
		throw new SternaError("not_found", `the recovery point has no disk ${volumeId}`);
	}
	const entry = repositories.get(point.repositoryId);
	return { point, hostId: reach.anyHost(entry), access: repositories.accessOf(entry) };
}
