import { SternaError } from "@sterna/shared/errors";
import type { GuestReport, GuestState } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import type { MigrationReport } from "@sterna/shared/migration";
import type { PeerAddress } from "@sterna/shared/protocol/commands";
import { Permit } from "@sterna/shared/protocol/permit";
import type { TrackedReport } from "@sterna/shared/protocol/report";
import type { Handlers } from "@sterna/shared/protocol/rpc";
import { GiB } from "@sterna/shared/units";
import type { ScriptedAgent } from "./scripted-agent.ts";
import { scriptedBackupHandlers } from "./scripted-backups.ts";

type Guest = Omit<GuestReport, "generation">;

/** What a scripted agent answers. `onFollowed` is called when the console follows its reports. */
export function scriptedHandlers(agent: ScriptedAgent, onFollowed: () => void): Handlers {
	const owned = (guestId: GuestId, epoch: number): Guest => {
		const guest = agent.guests.get(guestId);
		if (!guest) throw new SternaError("not_found", "the guest is not on this host");
		if (guest.role !== "owner" || guest.epoch !== epoch) throw new SternaError("conflict", "another epoch");
		return guest;
	};
	const change =
		(state: GuestState) =>
		async ({ guestId, epoch }: { guestId: GuestId; epoch: number }) =>
			agent.setGuest({ ...owned(guestId, epoch), state, startedAt: state === "running" ? Date.now() : null });
	const unchanged = async ({ guestId, epoch }: { guestId: GuestId; epoch: number }) =>
		agent.setGuest(owned(guestId, epoch));
	const notHere = async () => {
		throw new SternaError("not_found", "not scripted");
	};
	const noted = <Made extends Partial<Handlers>>(handlers: Made): Made => {
		for (const [name, handler] of Object.entries(handlers) as [string, (...args: unknown[]) => unknown][]) {
			Object.assign(handlers, {
				[name]: (...args: unknown[]) => {
					agent.commands.push(name);
					const instead = agent.instead.get(name);
					if (instead === "swallow") return new Promise<never>(() => {});
					if (instead) throw instead;
					return handler(...args);
				},
			});
		}
		return handlers;
	};
	return noted({
		"host.describe": async () => agent.facts(),
		"host.snapshot": notHere,
		"host.metrics": async () => ({ samples: [] }),
		"host.setRevocations": async () => ({}),
		"agent.status": notHere,
		async *"host.report"({ after }, _caller, signal) {
			const resumed = agent.resumes && after?.run === agent.place.run;
			const waiting: TrackedReport[] = resumed ? [] : [agent.snapshot()];
			let wake = () => {};
			const stop = agent.follow((tracked) => {
				waiting.push(tracked);
				wake();
			});
			signal.addEventListener("abort", () => wake(), { once: true });
			onFollowed();
			try {
				while (!signal.aborted) {
					for (let next = waiting.shift(); next; next = waiting.shift()) yield next;
					await new Promise<void>((resolve) => {
						wake = resolve;
					});
				}
			} finally {
				stop();
			}
		},
		"guest.create": async ({ spec, epoch }) => {
			agent.fleet.places.specs.set(spec.id, spec);
			return agent.setGuest({
				...{ guestId: spec.id, name: spec.name, role: "owner", epoch, state: "stopped", accelerator: null },
				...{ startedAt: null, migrationId: null, peerHostId: null, machine: "pc-q35-10.0", remark: null },
			});
		},
		"guest.start": async ({ guestId, epoch }) =>
			agent.setGuest({ ...owned(guestId, epoch), state: "running", accelerator: "simulated", startedAt: Date.now() }),
		"guest.shutDown": change("stopped"),
		"guest.powerOff": change("stopped"),
		"guest.pause": change("paused"),
		"guest.resume": change("running"),
		"guest.delete": async ({ guestId, epoch }) => {
			owned(guestId, epoch);
			agent.removeGuest(guestId);
			return {};
		},
		"guest.metrics": async () => ({ samples: [] }),
		async *"guest.serialOutput"({ guestId, fromOffset }, _caller, signal) {
			let offset = fromOffset;
			while (!signal.aborted) {
				const log = agent.serial.get(guestId);
				const text = (log?.text ?? "").slice(offset);
				if (text) yield { offset, data: Buffer.from(text).toString("base64") };
				offset += text.length;
				if (text) continue;
				if (!log || log.ended) return;
				await agent.serialChange(signal);
			}
		},
		"guest.serialInput": async ({ guestId, data }) => {
			agent.print(guestId, `<${Buffer.from(data, "base64").toString()}>`);
			return {};
		},
		"migration.plan": async ({ guestId, target }) => ({
			...{ guestId, sourceHostId: agent.identity.hostId, targetHostId: target.hostId },
			refusals: agent.refusal ? [agent.refusal] : [],
			...{ steps: [], memoryBytes: GiB, diskBytes: 0, predictedDurationMs: 1000, predictedDowntimeMs: 40, undo: "" },
		}),
		"migration.start": async ({ permit: signed, target }) => {
			if (agent.deaf) return new Promise<never>(() => {});
			if (agent.refusal) throw new SternaError(agent.refusal.code, agent.refusal.message);
			const permit = Permit.parse(JSON.parse(Buffer.from(signed.payload, "base64url").toString()));
			const known = agent.migrations.get(permit.migrationId);
			if (known) return known;
			const guest = owned(permit.guestId, agent.guests.get(permit.guestId)?.epoch ?? 0);
			if (permit.epoch <= guest.epoch || guest.migrationId)
				throw new SternaError("conflict", "another move is under way");
			const begun = reportOf(permit);
			agent.setMigration(begun);
			agent.setGuest({ ...guest, migrationId: permit.migrationId, peerHostId: target.hostId });
			void move(agent, begun, target);
			return begun;
		},
		"migration.cancel": async ({ migrationId }) => {
			const report = agent.migrations.get(migrationId);
			if (!report) throw new SternaError("not_found", "no such move");
			if (report.state !== "running") return report;
			const guest = agent.guests.get(report.guestId);
			const cancelled = {
				...report,
				generation: report.generation + 1,
				state: "cancelled" as const,
				endedAt: Date.now(),
			};
			agent.setMigration(cancelled);
			if (guest) agent.setGuest({ ...guest, migrationId: null, peerHostId: null });
			return cancelled;
		},
		"incoming.check": notHere,
		"incoming.prepare": notHere,
		"incoming.renew": notHere,
		"incoming.run": notHere,
		"incoming.discard": notHere,
		"volume.grow": unchanged,
		"volume.attach": unchanged,
		"volume.list": async ({ guestId }) => ({ volumes: agent.fleet.places.specs.get(guestId)?.volumes ?? [] }),
		"volume.move": unchanged,
		...scriptedBackupHandlers(agent),
	} satisfies Handlers);
}

function reportOf(permit: Permit): MigrationReport {
	const { migrationId, guestId, epoch, sourceHostId, targetHostId } = permit;
	return {
		...{ migrationId, guestId, epoch, sourceHostId, targetHostId, generation: 1 },
		...{
			state: "running",
			phase: "prepareTarget",
			startedAt: Date.now(),
			endedAt: null,
			phases: [],
			disk: null,
			memory: null,
		},
		...{ predictedDowntimeMs: null, measuredDowntimeMs: null, error: null, journal: [] },
	};
}

/** The agents' part of a move, as the console sees it: phases, then the hand-over, whether a console is there or not. */
async function move(source: ScriptedAgent, begun: MigrationReport, { hostId }: PeerAddress): Promise<void> {
	const target = source.fleet.agents.get(hostId);
	const guest = source.guests.get(begun.guestId);
	if (!target || !guest) return;
	let report = begun;
	const advance = (change: Partial<MigrationReport>) => {
		report = { ...report, ...change, generation: report.generation + 1 };
		source.setMigration(report);
	};
	const incoming: Guest = {
		...guest,
		role: "incoming",
		epoch: begun.epoch,
		state: "paused",
		migrationId: begun.migrationId,
	};
	target.setGuest({ ...incoming, peerHostId: source.identity.hostId });
	advance({ phase: "copyMemory" });
	if (source.fleet.holdAt === "copyMemory") await source.fleet.held();
	if (source.migrations.get(begun.migrationId)?.state !== "running") return target.removeGuest(guest.guestId);
	advance({ phase: "handOver" });
	source.setGuest({ ...guest, role: "released", epoch: begun.epoch, state: "paused", migrationId: begun.migrationId });
	const serial = source.serial.get(guest.guestId);
	if (serial) source.serial.set(guest.guestId, { ...serial, ended: true });
	source.wakeSerial();
	target.setGuest({
		...guest,
		role: "owner",
		epoch: begun.epoch,
		state: "running",
		migrationId: null,
		peerHostId: null,
	});
	advance({ phase: "retireSource", state: "completed", endedAt: Date.now(), measuredDowntimeMs: 38 });
	source.removeGuest(guest.guestId);
}
