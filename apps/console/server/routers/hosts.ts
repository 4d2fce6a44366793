import { SternaError } from "@sterna/shared/errors";
import { HealthState } from "@sterna/shared/health";
import { HostConnection, HostMetrics, HostMode } from "@sterna/shared/host";
import { EvacuationId, HostId, TimestampMs } from "@sterna/shared/ids";
import { Remark } from "@sterna/shared/names";
import { z } from "zod";
import { leaveMaintenance, planMaintenance } from "../hosts/maintenance.ts";
import type { HostEntry, Inventory } from "../inventory/inventory.ts";
import { connectionOf, healthStateOf } from "../inventory/standing.ts";
import { guestsWithPlaceOn } from "../placement/capacity.ts";
import { hostRow, hostView } from "../present/hosts.ts";
import { cutPage, matches } from "../present/paging.ts";
import { adminProcedure, operatorProcedure, router, viewerProcedure } from "../trpc.ts";
import { pageOf, paging } from "../views.ts";
import { HostMetricsView, HostRow, HostView, JoinTokenView, MaintenancePlan } from "../views-hosts.ts";

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
		.query(({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			const at = now();
			const found = [...inventory.hosts.values()].filter(
				(host) =>
					matches(input.filter, host.name, host.facts?.peerAddress ?? "", host.id) &&
					(!input.health || input.health.includes(healthStateOf(host, at))) &&
					(input.connection ?? ["online", "offline"]).includes(connectionOf(host, at)) &&
					(!input.mode || input.mode.includes(host.mode)),
			);
			const page = cutPage(
				found,
				input,
				(host) => sortKey(input.sort, host, inventory, at),
				(host) => host.name,
			);
			return { rows: page.items.map((host) => hostRow(host, inventory, at)), total: page.total };
		}),
	get: viewerProcedure
		.input(oneHost)
		.output(HostView)
		.query(({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			return hostView(inventory.host(input.hostId), inventory, now());
		}),
	/** Samples since a time, oldest first: from the agent while it is online (fine), from the console's roll-ups otherwise. */
	metrics: viewerProcedure
		.input(z.strictObject({ hostId: HostId, since: TimestampMs }))
		.output(HostMetricsView)
		.query(async ({ ctx: { console }, input }) => {
			const host = console.core.inventory.host(input.hostId);
			if (host.connected) {
				const fine = await console.hub.call(host.id, "host.metrics", { since: input.since }).catch(() => null);
				if (fine && fine.samples.length > 0) return fine;
			}
			const minutes = await console.rollups.since(host.id, input.since);
			return { samples: minutes.map((minute) => HostMetrics.parse(minute)) };
		}),
	planMaintenance: operatorProcedure
		.input(oneHost)
		.output(MaintenancePlan)
		.query(({ ctx: { console }, input }) => {
			const { inventory, now } = console.core;
			return planMaintenance(input.hostId, inventory, now());
		}),
	/** Empties the host and keeps it out of service. Follow it at /evacuations/<id>. */
	setMaintenance: operatorProcedure
		.input(z.strictObject({ hostId: HostId, reason: Remark.default("") }))
		.output(z.object({ evacuationId: EvacuationId }))
		.mutation(async ({ ctx, input }) => {
			const host = ctx.console.core.inventory.host(input.hostId);
			if (host.mode === "maintenance") throw new SternaError("wrong_state", `${host.name} is in maintenance already`);
			const reason = input.reason || `maintenance asked by ${ctx.user.name}`;
			const request = { hostId: input.hostId, reason, requestedBy: ctx.user.name };
			return { evacuationId: await ctx.console.evacuations.begin(request) };
		}),
	/** Back to service. Refused while a failing finding is open: release it first. */
	leaveMaintenance: operatorProcedure
		.input(oneHost)
		.output(z.object({ mode: HostMode }))
		.mutation(async ({ ctx, input }) => {
			await leaveMaintenance(ctx.console.core, input.hostId, ctx.user.name);
			return { mode: ctx.console.core.inventory.host(input.hostId).mode };
		}),
	/** Says that the part was replaced or the finding was wrong; it may come back when the sensor sees it again. */
	releaseFinding: operatorProcedure
		.input(z.strictObject({ hostId: HostId, findingId: z.string().max(100), reason: Remark }))
		.output(z.object({ released: z.literal(true) }))
		.mutation(async ({ ctx, input }) => {
			await ctx.console.findings.release({ ...input, actor: ctx.user.name });
			return { released: true };
		}),
	/** Refuses the host's certificate from now on and closes its connection. Its guests run on, unseen. */
	revoke: adminProcedure
		.input(z.strictObject({ hostId: HostId, reason: Remark.default("") }))
		.output(z.object({ connection: HostConnection }))
		.mutation(async ({ ctx, input }) => {
			await ctx.console.admission.revoke(input.hostId, ctx.user.name, input.reason);
			return { connection: "revoked" };
		}),
	createJoinToken: adminProcedure
		.input(z.strictObject({ remark: Remark.default("") }))
		.output(JoinTokenView)
		.mutation(({ ctx, input }) =>
			ctx.console.createJoinToken({
				actor: ctx.user.name,
				remark: input.remark,
				browserHost: hostNameOf(ctx.headers.get("host")),
			}),
		),
});

function sortKey(
	sort: "health" | "name" | "cpu" | "memory" | "guests",
	host: HostEntry,
	inventory: Inventory,
	now: number,
): string | number | null {
	switch (sort) {
		case "name":
			return host.name;
		case "health":
			return HealthState.options.indexOf(healthStateOf(host, now));
		case "cpu":
			return host.metrics?.cpuUsed ?? null;
		case "memory":
			return guestsWithPlaceOn(inventory, host.id).reduce((sum, guest) => sum + guest.grantedBytes, 0);
		case "guests":
			return inventory.guestsOf(host.id).length;
	}
}

/** The name in a Host header, when it is one that a server could dial; null for a loopback name. */
function hostNameOf(header: string | null): string | null {
	const name = /^(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9.-]+)(:\d+)?$/.exec(header ?? "")?.[1]?.replace(/^\[|\]$/g, "");
	return !name || name === "localhost" || name === "::1" || name.startsWith("127.") ? null : name;
}
