import { GuestSpec, refuseGuestAction } from "@sterna/shared/guest";
import { GuestId, type HostId, newId, VolumeId } from "@sterna/shared/ids";
import type { Refusal } from "@sterna/shared/migration";
import { randomMac } from "@sterna/shared/network";
import { formatBytes } from "@sterna/shared/units";
import type { Volume } from "@sterna/shared/volume";
import { isDoubtful } from "../guests/volume-truth.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { situationOf } from "../inventory/standing.ts";
import { choosePlacement } from "../placement/candidates.ts";
import type { RestorePlan, RestoreRequest, RestoreTarget } from "../views-backups.ts";
import type { PointEntry } from "./catalogue.ts";
import type { RepositoryEntry } from "./repositories.ts";

/** What the restore of a point comes to: the guest to be, its host, and which disk of the point fills which of the guest. */
export interface PlannedRestore {
	kind: RestoreTarget["kind"] | "drill";
	spec: GuestSpec;
	/** Null when no host can do it: `refusals` say why. */
	hostId: HostId | null;
	volumes: { from: VolumeId; to: VolumeId }[];
	hosts: RestorePlan["hosts"];
	refusals: Refusal[];
	copyBytes: number;
	steps: string[];
	undo: string;
}

export interface PlanFacts {
	inventory: Inventory;
	point: PointEntry;
	repository: RepositoryEntry;
	/** Why this host cannot read from the repository; null when it can. */
	obstacle(hostId: HostId): string | null;
	now: number;
}

/** Plans a restore; nothing is changed by it. A foreign id in the request becomes `not_found`. */
export function planRestore(
	request: Pick<RestoreRequest, "mode" | "target" | "start">,
	facts: PlanFacts,
): PlannedRestore {
	const { target } = request;
	switch (target.kind) {
		case "new":
			return planNew(target, request.mode, facts);
		case "over":
			return planOver(request, facts);
		case "disk":
			return planDisk(target, facts);
	}
}

/** A drill: as a new guest without networks, which is thrown away after. */
export function planDrill(facts: PlanFacts): PlannedRestore {
	const name = `drill-${facts.point.id.slice(0, 8)}`;
	const planned = planNew({ kind: "new", name, connectNetworks: false }, "instant", facts);
	return { ...planned, kind: "drill", undo: "nothing is left of a drill" };
}

function planNew(target: RestoreTarget & { kind: "new" }, mode: "copy" | "instant", facts: PlanFacts): PlannedRestore {
	const { inventory, point } = facts;
	const { spec: saved } = point.manifest;
	const volumes = savedVolumes(point).map(({ id, ...volume }) => ({
		from: id,
		volume: { ...volume, id: newId(VolumeId) },
	}));
	const taken = new Set([...inventory.guests.values()].flatMap((guest) => guest.spec.nics.map(({ mac }) => mac)));
	const spec = GuestSpec.parse({
		...saved,
		...{ id: newId(GuestId), name: target.name, volumes: volumes.map(({ volume }) => volume) },
		nics: target.connectNetworks ? saved.nics.map((nic) => ({ ...nic, mac: freshMac(taken) })) : [],
	});
	const refusals: Refusal[] = [];
	if ([...inventory.guests.values()].some(({ name }) => name === target.name)) {
		refusals.push({
			code: "conflict",
			message: `there is a guest named ${target.name} already`,
			cure: "choose another name",
		});
	}
	if (target.hostId) inventory.host(target.hostId);
	const { hosts, hostId } = placed(spec, target.hostId, facts);
	if (!hostId) {
		const reasons = hosts.map(
			({ host, refusals: [first] }) => `${host.name}: ${first?.message ?? "another host was asked for"}`,
		);
		refusals.push({ code: "no_capacity", message: `no host can take it: ${reasons.join("; ") || "there is no host"}` });
	}
	const on = hosts.find(({ chosen }) => chosen)?.host.name ?? "a host";
	const bytes = formatBytes(point.sizeBytes);
	return {
		...{ kind: "new", spec, hostId, hosts, refusals, copyBytes: point.sizeBytes },
		volumes: volumes.map(({ from, volume }) => ({ from, to: volume.id })),
		steps: [
			`${formatBytes(spec.memoryBytes)} of memory are set aside on ${on}`,
			mode === "instant"
				? `${target.name} starts at once on ${on}; its ${bytes} of disks stream in behind it`
				: `${bytes} of disks are written on ${on}`,
			target.connectNetworks
				? "it gets new addresses on the networks of its backup"
				: "it gets no networks: connect them when it is safe",
		],
		undo: "delete the new guest; the old one and the recovery point are not touched",
	};
}

function planOver({ mode, start }: Pick<RestoreRequest, "mode" | "start">, facts: PlanFacts): PlannedRestore {
	const { inventory, point } = facts;
	const guest = inventory.guest(point.guestId);
	const saved = savedVolumes(point);
	const kept = guest.spec.volumes.filter(({ id }) => !saved.some((volume) => volume.id === id));
	const asNow = (volume: Volume): Volume => ({
		...volume,
		pool: guest.spec.volumes.find(({ id }) => id === volume.id)?.pool ?? volume.pool,
	});
	const spec = GuestSpec.parse({ ...guest.spec, volumes: [...saved.map(asNow), ...kept] });
	const own = onOwnHost(guest.id, facts);
	return {
		...{ kind: "over", spec, ...own, copyBytes: point.sizeBytes },
		volumes: saved.map(({ id }) => ({ from: id, to: id })),
		steps: [
			`the disks of ${guest.name} are written over with what they held then: ${formatBytes(point.sizeBytes)}`,
			...(kept.length > 0
				? [
						`${kept.length} ${kept.length === 1 ? "disk" : "disks"} that the recovery point does not have ${kept.length === 1 ? "stays" : "stay"} as now`,
					]
				: []),
			"its CPUs, memory and networks stay as they are now",
			...(mode === "instant" || start ? [`${guest.name} is started`] : []),
		],
		undo: `none: what ${guest.name} holds now is lost; back it up first`,
	};
}

function planDisk(target: RestoreTarget & { kind: "disk" }, facts: PlanFacts): PlannedRestore {
	const { inventory, point } = facts;
	const guest = inventory.guest(target.intoGuestId);
	const saved = savedVolumes(point).find(({ id }) => id === target.volumeId);
	const to = newId(VolumeId);
	const own = onOwnHost(guest.id, facts);
	const refusals = [...own.refusals];
	if (!saved) refusals.push({ code: "not_found", message: `the recovery point has no disk ${target.volumeId}` });
	if (guest.spec.volumes.length >= 16)
		refusals.push({ code: "no_capacity", message: `${guest.name} has sixteen disks already` });
	const added = saved && refusals.length === 0 ? [{ ...saved, id: to }] : [];
	return {
		...{ kind: "disk", ...own, refusals, copyBytes: saved?.sizeBytes ?? 0 },
		spec: { ...guest.spec, volumes: [...guest.spec.volumes, ...added] },
		volumes: [{ from: target.volumeId, to }],
		steps: [
			`${guest.name} gets another disk of ${formatBytes(saved?.sizeBytes ?? 0)}, with what it held then; the others stay as they are`,
		],
		undo: "the disk stays until the guest is deleted; leave it unmounted once you took from it what you need",
	};
}

/** Over an existing guest: on its own host, while it is stopped. */
function onOwnHost(
	guestId: GuestId,
	{ inventory, obstacle, now }: PlanFacts,
): Pick<PlannedRestore, "hostId" | "hosts" | "refusals"> {
	const guest = inventory.guest(guestId);
	const host = inventory.host(guest.grant.ownerHostId);
	const refusals: Refusal[] = [];
	if (guest.existence !== "present")
		refusals.push({ code: "wrong_state", message: `${guest.name} is being created, restored or deleted` });
	// What may be started may be written over: stopped, at rest, its host heard.
	const running = refuseGuestAction("start", situationOf(guest, inventory, now));
	if (running) {
		refusals.push({
			...{
				code: host.connected ? "wrong_state" : "host_offline",
				message: `nothing is restored into ${guest.name} now: ${running}`,
			},
			cure: "shut it down first, or restore to a new guest",
		});
	}
	// Planned over disks that are not there, or without one that is: the wrong bytes would be written over, or a disk lost.
	if (isDoubtful(guest, host)) {
		refusals.push({
			code: "wrong_state",
			message: `which disks ${guest.name} has is not certain: ${host.name} tells of others than are listed`,
			cure: "wait a moment until they are listed anew, and look at them before you restore",
		});
	}
	const away = obstacle(host.id);
	if (away) refusals.push({ code: "unavailable", message: away });
	const fits = refusals.length === 0;
	return {
		hostId: fits ? host.id : null,
		hosts: [{ host: { id: host.id, name: host.name }, chosen: fits, refusals }],
		refusals,
	};
}

/** The planner's choice among the hosts that reach the repository. */
function placed(spec: GuestSpec, wanted: HostId | undefined, { inventory, obstacle, now }: PlanFacts) {
	const exclude = new Set([...inventory.hosts.keys()].filter((hostId) => obstacle(hostId) !== null));
	const choice = choosePlacement(inventory, { spec, exclude, ...(wanted ? { wanted } : {}) }, now);
	const away = [...exclude].flatMap((hostId) => {
		const host = inventory.host(hostId);
		if (host.revokedAt !== null) return [];
		return [
			{
				host: { id: host.id, name: host.name },
				chosen: false,
				refusals: [{ code: "unavailable" as const, message: obstacle(hostId) ?? "" }],
			},
		];
	});
	const hosts = [...choice.candidates.map(({ host, chosen, refusals }) => ({ host, chosen, refusals })), ...away];
	return { hosts, hostId: choice.hostIds[0] ?? null };
}

/** The disks that the point holds, as the guest had them; they come back from the point, not from an image. */
function savedVolumes(point: PointEntry): Volume[] {
	return point.manifest.volumes.flatMap(({ volumeId, sizeBytes }) => {
		const volume = point.manifest.spec.volumes.find(({ id }) => id === volumeId);
		return volume ? [{ id: volumeId, pool: volume.pool, sizeBytes }] : [];
	});
}

function freshMac(taken: Set<string>): string {
	for (;;) {
		const mac = randomMac((octets) => crypto.getRandomValues(new Uint8Array(octets)));
		if (taken.has(mac)) continue;
		taken.add(mac);
		return mac;
	}
}
