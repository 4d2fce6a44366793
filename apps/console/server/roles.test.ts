import { SternaError } from "@sterna/shared/errors";
import { TRPCError } from "@trpc/server";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import type { Console } from "./console.ts";
import type { Context } from "./context.ts";
import { appRouter } from "./root.ts";
import { createCallerFactory } from "./trpc.ts";
import type { Role } from "./views.ts";

/** The least role of every procedure. A new procedure that is missing here fails the test below. */
const table: Record<string, Role | null> = {
	"setup.state": null,
	"setup.createAdmin": null,
	"session.me": null,
	"session.signIn": null,
	"session.signOut": "viewer",
	"overview.get": "viewer",
	"hosts.list": "viewer",
	"hosts.get": "viewer",
	"hosts.metrics": "viewer",
	"hosts.planMaintenance": "operator",
	"hosts.setMaintenance": "operator",
	"hosts.leaveMaintenance": "operator",
	"hosts.releaseFinding": "operator",
	"hosts.revoke": "admin",
	"hosts.createJoinToken": "admin",
	"guests.list": "viewer",
	"guests.get": "viewer",
	"guests.metrics": "viewer",
	"guests.planCreate": "operator",
	"guests.create": "operator",
	"guests.start": "operator",
	"guests.shutDown": "operator",
	"guests.powerOff": "operator",
	"guests.pause": "operator",
	"guests.resume": "operator",
	"guests.delete": "operator",
	"guests.bulk": "operator",
	"guests.planMigration": "operator",
	"guests.migrate": "operator",
	"guests.openSerial": "operator",
	"guests.forget": "admin",
	"guests.forgetMany": "admin",
	"guests.setTags": "admin",
	"guests.growVolume": "admin",
	"guests.attachVolume": "admin",
	"guests.moveVolume": "admin",
	"repositories.list": "viewer",
	"repositories.get": "viewer",
	"repositories.places": "viewer",
	"repositories.create": "admin",
	"repositories.attach": "admin",
	"repositories.confirmKey": "admin",
	"repositories.replaceKey": "admin",
	"repositories.upkeep": "admin",
	"repositories.setScrub": "admin",
	"repositories.remove": "admin",
	"jobs.list": "viewer",
	"jobs.get": "viewer",
	"jobs.preview": "operator",
	"jobs.create": "admin",
	"jobs.update": "admin",
	"jobs.setEnabled": "admin",
	"jobs.runNow": "operator",
	"jobs.remove": "admin",
	"jobs.nextRuns": "viewer",
	"runs.list": "viewer",
	"runs.get": "viewer",
	"runs.cancel": "operator",
	"runs.start": "operator",
	"points.list": "viewer",
	"points.get": "viewer",
	"points.calendar": "viewer",
	"points.protect": "admin",
	"points.unprotect": "admin",
	"points.remove": "admin",
	"points.retention": "viewer",
	"points.fileSystems": "operator",
	"points.files": "operator",
	"points.downloadTicket": "operator",
	"protection.list": "viewer",
	"protection.get": "viewer",
	"protection.summary": "viewer",
	"restores.plan": "operator",
	"restores.start": "operator",
	"restores.list": "viewer",
	"restores.get": "viewer",
	"restores.cancel": "operator",
	"restores.giveUp": "admin",
	"restores.screenshot": "operator",
	"restores.drill": "operator",
	"migrations.list": "viewer",
	"migrations.get": "viewer",
	"migrations.cancel": "operator",
	"evacuations.list": "viewer",
	"evacuations.get": "viewer",
	"evacuations.cancel": "operator",
	"health.list": "viewer",
	"events.list": "viewer",
	"events.facets": "viewer",
	"events.get": "viewer",
	"events.verify": "viewer",
	"search.find": "viewer",
	"demo.state": "viewer",
	"demo.break": "admin",
	"demo.setClockOffset": "admin",
	"demo.skipToNextDue": "admin",
	"demo.breakRepository": "admin",
	changes: "viewer",
};

const procedures = Object.keys(appRouter._def.procedures);
const rank = { viewer: 1, operator: 2, admin: 3 };

/** A console of which every part is missing: whoever gets past the doors fails at once, and differently. */
const nothing = new Proxy({ log: pino({ level: "silent" }) } as unknown as Console, {
	get: (target, key) => {
		if (key === "log") return target.log;
		throw new SternaError("unavailable", "past the doors");
	},
});

/** What a call by this role, with no input, ends with. */
async function outcome(path: string, role: Role | null): Promise<string> {
	const context: Context = {
		console: nothing,
		transport: "http",
		clientAddress: "",
		headers: new Headers(),
		setCookie: () => {},
		session: async () => role && { id: "s", user: { userId: "u", name: "u", email: "u@example.com", role } },
	};
	const caller = createCallerFactory(appRouter)(context) as unknown as Record<string, unknown>;
	let procedure: unknown = caller;
	for (const part of path.split(".")) procedure = (procedure as Record<string, unknown>)[part];
	try {
		await (procedure as (input?: unknown) => Promise<unknown>)();
		return "past";
	} catch (error) {
		if (!(error instanceof TRPCError)) throw error;
		return error.code === "FORBIDDEN" || error.code === "UNAUTHORIZED" ? error.code : "past";
	}
}

test("every procedure stands in the table, and nothing else does", () => {
	expect(Object.keys(table).sort()).toEqual([...procedures].sort());
});

describe.each(procedures)("%s", (path) => {
	const least = table[path] ?? null;

	test.each([null, "viewer", "operator", "admin"] as const)("for %s", async (role) => {
		const expected =
			least === null ? "past" : role === null ? "UNAUTHORIZED" : rank[role] < rank[least] ? "FORBIDDEN" : "past";
		expect(await outcome(path, role)).toBe(expected);
	});

	test("says its role in its meta too, for those who list what may be done", () => {
		const { meta } =
			(appRouter._def.procedures as unknown as Record<string, { _def: { meta: { role: Role | null } } }>)[path]?._def ??
			{};
		expect(meta?.role).toBe(least);
	});
});
