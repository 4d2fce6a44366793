import type { Hypervisor } from "@sterna/hypervisor/hypervisor";
import { SternaError } from "@sterna/shared/errors";
import type { GuestReport } from "@sterna/shared/guest";
import type { GuestId } from "@sterna/shared/ids";
import type { AgentStatus } from "@sterna/shared/protocol/commands";
import type { Caller, Handlers } from "@sterna/shared/protocol/rpc";
import type { BackupService, MigrationService, RepositoryService, RestoreService, UpkeepService } from "./context.ts";
import type { FilesService } from "./files/service.ts";
import type { Guests } from "./guests/lifecycle.ts";
import { followSerialLog } from "./guests/serial.ts";
import type { GuestStore } from "./guests/store.ts";
import type { GuestVolumes } from "./guests/volumes.ts";
import type { Revocations } from "./peers/revocations.ts";
import type { Report } from "./report.ts";
import type { Sampler } from "./sampling.ts";

export interface CommandNeeds {
	hypervisor: Hypervisor;
	guests: Guests;
	volumes: GuestVolumes;
	store: GuestStore;
	report: Report;
	revocations: Revocations;
	migrations: MigrationService;
	repositories: RepositoryService;
	backups: BackupService;
	restores: RestoreService;
	upkeep: UpkeepService;
	files: FilesService;
	sampler: Sampler;
	/** Calls back when any guest's process or record changed. */
	onGuestChange(listener: () => void): () => void;
	status(): AgentStatus;
}

/** Everything this agent can be asked, and who answers it. The endpoint has parsed the input and checked the audience. */
export function createHandlers(needs: CommandNeeds): Handlers {
	const { guests, volumes, report, migrations, repositories, backups, restores, hypervisor } = needs;
	/** The guest as it was just told, with its place in the sequence. */
	const told = (guestId: GuestId): GuestReport => {
		const guest = report.guest(guestId);
		if (!guest) throw new SternaError("not_found", `guest ${guestId} is not on this host`);
		return guest;
	};
	return {
		"host.describe": async () => report.facts,
		"host.snapshot": async () => report.snapshot(),
		"host.report": ({ after }, _caller, signal) => report.follow(after, signal),
		"host.metrics": async ({ since }) => ({ samples: await needs.sampler.hostSince(since) }),
		"host.setRevocations": async ({ hostIds }) => {
			await needs.revocations.set(hostIds);
			return {};
		},
		"agent.status": async () => needs.status(),

		"guest.create": async ({ spec, epoch }) => {
			await guests.create(spec, epoch);
			return told(spec.id);
		},
		"guest.start": async ({ guestId, epoch }) => {
			await guests.start(guestId, epoch);
			return told(guestId);
		},
		"guest.shutDown": async ({ guestId, epoch }) => {
			await guests.shutDown(guestId, epoch);
			return told(guestId);
		},
		"guest.powerOff": async ({ guestId, epoch }) => {
			await guests.powerOff(guestId, epoch);
			return told(guestId);
		},
		"guest.pause": async ({ guestId, epoch }) => {
			await guests.pause(guestId, epoch);
			return told(guestId);
		},
		"guest.resume": async ({ guestId, epoch }) => {
			await guests.resume(guestId, epoch);
			return told(guestId);
		},
		"guest.delete": async ({ guestId, epoch }) => {
			await guests.delete(guestId, epoch);
			return {};
		},
		"guest.metrics": async ({ guestId, since }) => ({ samples: await needs.sampler.guestSince(guestId, since) }),
		"guest.serialOutput": ({ guestId, fromOffset }, _caller, signal) => {
			mustBeHere(needs.store, guestId);
			return followSerialLog({
				path: hypervisor.serialLogPath(guestId),
				fromOffset,
				isAlive: () => guests.isAlive(guestId),
				onChange: needs.onGuestChange,
				signal,
			});
		},
		"guest.serialInput": async ({ guestId, data }) => {
			mustBeHere(needs.store, guestId);
			await hypervisor.serialWrite(guestId, Buffer.from(data, "base64"));
			return {};
		},

		"migration.plan": (input, _caller, signal) => migrations.plan(input, signal),
		"migration.start": (input) => migrations.start(input),
		"migration.cancel": ({ migrationId }) => migrations.cancel(migrationId),
		"incoming.check": (input, caller) => migrations.check(input, proved(caller)),
		"incoming.prepare": (input, caller) => migrations.prepare(input, proved(caller)),
		"incoming.renew": (input, caller) => migrations.renew(input, proved(caller)),
		"incoming.run": (input, caller) => migrations.run(input, proved(caller)),
		"incoming.discard": (input, caller) => migrations.discard(input, proved(caller)),

		"volume.grow": async (input) => {
			await volumes.grow(input);
			return told(input.guestId);
		},
		"volume.attach": async (input) => {
			await volumes.attach(input);
			return told(input.guestId);
		},
		"volume.list": async (input) => ({ volumes: await volumes.list(input) }),
		"volume.move": async (input) => {
			await volumes.move(input);
			return told(input.guestId);
		},

		"repository.create": (input) => repositories.create(input),
		"repository.identify": (input) => repositories.identify(input),
		"repository.inspect": (input) => repositories.inspect(input),
		"repository.replaceKey": async (input) => {
			await repositories.replaceKey(input);
			return {};
		},
		"repository.points": (input) => repositories.points(input),
		"repository.prune": async (input) => {
			await repositories.prune(input);
			return {};
		},
		"repository.upkeep": (input) => needs.upkeep.start(input),

		"backup.plan": (input) => backups.plan(input),
		"backup.start": (input) => backups.start(input),
		"backup.cancel": ({ pointId }) => backups.cancel(pointId),

		"restore.start": (input) => restores.start(input),
		"restore.cancel": ({ restoreId }) => restores.cancel(restoreId),
		"restore.giveUp": ({ restoreId }) => restores.giveUp(restoreId),
		"restore.screenshot": ({ restoreId }) => restores.screenshot(restoreId),

		"files.fileSystems": (input) => needs.files.fileSystems(input),
		"files.list": (input) => needs.files.list(input),
		"files.read": (input, _caller, signal) => needs.files.read(input, signal),
	};
}

function mustBeHere(store: GuestStore, guestId: GuestId): void {
	if (!store.get(guestId)?.spec) throw new SternaError("not_found", `guest ${guestId} is not on this host`);
}

/** A peer is nobody without the host id of its certificate. */
function proved(caller: Caller): Caller {
	if (caller.hostId === null) throw new SternaError("forbidden", "only a peer host may say that");
	return caller;
}
