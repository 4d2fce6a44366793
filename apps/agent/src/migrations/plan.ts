import { checkIncoming, planMigration } from "@sterna/migration/plan";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type GuestSpec, type GuestState, guestOverheadBytes } from "@sterna/shared/guest";
import type { HostFacts, Image } from "@sterna/shared/host";
import type { GuestId } from "@sterna/shared/ids";
import type { MigrationPlan, Refusal } from "@sterna/shared/migration";
import type { IncomingGuest, ParsedInput } from "@sterna/shared/protocol/commands";
import type { Volume } from "@sterna/shared/volume";
import type { AgentContext } from "../context.ts";
import { claimConflict } from "../guests/claims.ts";

const askTimeoutMs = 15_000;

/** A guest of this host as its move sees it. */
interface LeavingGuest {
	incoming: IncomingGuest;
	state: GuestState;
	startedAt: number | null;
	source: HostFacts;
	/** Why it cannot leave now, whatever the target. */
	refusals: Refusal[];
}

/**
 * What moving the guest would take. Everything that refuses is in the plan, an unreachable target too.
 * @throws {SternaError} `not_found` when the guest is not here.
 */
export async function planMove(
	context: AgentContext,
	{ guestId, target }: ParsedInput<"migration.plan">,
	signal: AbortSignal,
): Promise<MigrationPlan> {
	const { incoming, state, source, refusals } = await describeGuest(context, guestId);
	const options = { timeoutMs: askTimeoutMs, signal };
	const answer = await Promise.all([
		context.peers.call(target, "host.describe", {}, options),
		context.peers.call(target, "incoming.check", { guest: incoming }, options),
	]).catch((thrown: unknown) => asSternaError(thrown));
	const plan = planMigration({
		guest: incoming,
		guestState: state,
		dirtyBytesPerSecond: 0,
		source,
		target: {
			hostId: target.hostId,
			name: target.name,
			...(answer instanceof SternaError
				? { reachable: false, reason: answer.message }
				: { reachable: true, state: answer[0], refusals: answer[1].refusals }),
		},
	});
	return { ...plan, refusals: [...refusals, ...plan.refusals].slice(0, 50) };
}

/**
 * The guest as its target needs to know it.
 * @throws {SternaError} `not_found` when the guest is not on this host.
 */
export async function describeGuest(context: AgentContext, guestId: GuestId): Promise<LeavingGuest> {
	const { store, hypervisor, places, facts } = context;
	const guest = store.get(guestId);
	if (!guest?.spec || guest.record.role !== "owner") {
		throw new SternaError("not_found", `guest ${guestId} is not on this host`);
	}
	const { spec, record } = guest;
	const [process, source] = await Promise.all([hypervisor.inspect(guestId), facts()]);
	// A guest that never ran has no machine yet; the plan refuses it for not running.
	const machine = process.machine ?? spec.machine ?? source.machineTypes[0] ?? "";
	const locations = places.volumes(spec);
	const volumes = await Promise.all(
		spec.volumes.map(async (volume) => {
			const pool = source.pools.find(({ name }) => name === volume.pool);
			const location = locations.find(({ volumeId }) => volumeId === volume.id);
			if (!pool || !location) throw new SternaError("not_found", `this host has no storage pool ${volume.pool}`);
			const { allocatedBytes } = await hypervisor.inspectVolume(location);
			return { volumeId: volume.id, poolId: pool.poolId, allocatedBytes };
		}),
	);
	const refusals: Refusal[] = [];
	if (record.outgoing) {
		const message = `${spec.name} is being moved already`;
		refusals.push({ code: "wrong_state", message, cure: "wait for the end of that migration or cancel it" });
	}
	return {
		incoming: {
			spec: { ...spec, machine },
			machine,
			qemuVersion: source.qemuVersion,
			accelerator: process.accelerator ?? source.probe.accelerator,
			volumes,
			seats: process.seats,
			images: imagesOf(spec.boot, source.images),
		},
		state: process.state === "running" ? "running" : process.state === "absent" ? "stopped" : "paused",
		startedAt: guest.run.startedAt,
		source,
		refusals,
	};
}

/** The first reason against beginning the move, as far as this host can tell; null when there is none. */
export function refuseLeaving(
	{ incoming, state, source, refusals }: LeavingGuest,
	target: ParsedInput<"migration.start">["target"],
): Refusal | null {
	const { hostId, name } = target;
	const plan = planMigration({
		guest: incoming,
		guestState: state,
		dirtyBytesPerSecond: 0,
		source,
		target: { hostId, name, reachable: true, state: source, refusals: [] },
	});
	return refusals[0] ?? plan.refusals[0] ?? null;
}

/** Target's side: everything here that speaks against receiving this guest. */
export async function refuseArriving({ store, facts }: AgentContext, guest: IncomingGuest): Promise<Refusal[]> {
	const others = store.list().filter(({ guestId, record }) => guestId !== guest.spec.id && record.role !== "none");
	const specs = others.map(({ spec }) => spec);
	const arriving = others.filter(({ record }) => record.role === "incoming").map(({ spec }) => spec);
	const here = await facts();
	const refusals = checkIncoming(guest, {
		facts: here,
		committedMemoryBytes: memoryOf(specs),
		arrivingMemoryBytes: memoryOf(arriving),
		guests: specs.map(({ id, name }) => ({ guestId: id, name })),
	});
	const unnamed = specs.filter(({ name }) => name !== guest.spec.name);
	const conflict = claimConflict(guest.spec, unnamed);
	if (conflict) refusals.push({ code: "conflict", message: `${here.name}: ${conflict}` });
	return [...refusals, ...refuseSharedByMistake(guest, here)].slice(0, 50);
}

function memoryOf(specs: readonly GuestSpec[]): number {
	return specs.reduce((sum, { memoryBytes }) => sum + memoryBytes + guestOverheadBytes(memoryBytes), 0);
}

/** The volumes whose content must travel: all but those in a pool that is one and the same on both hosts. */
export function volumesToCopy(guest: IncomingGuest, here: Pick<HostFacts, "pools">): Volume[] {
	return guest.spec.volumes.filter((volume) => !samePool(volume, guest, here));
}

/**
 * A pool that carries the same mark on both hosts but is called local here is either one folder that both see, and
 * copying would delete the very disk that the guest runs on, or a folder that was cloned together with its mark.
 */
function refuseSharedByMistake(guest: IncomingGuest, here: HostFacts): Refusal[] {
	const doubtful = new Set(
		guest.spec.volumes.flatMap((volume) => {
			const pool = samePool(volume, guest, here);
			return pool?.kind === "local" ? [pool.name] : [];
		}),
	);
	return [...doubtful].map((name) => ({
		code: "incompatible",
		message: `pool ${name} has the same mark on both hosts, but is called local on ${here.name}`,
		cure: "if both see the same folder, call it shared on both; if it was cloned, delete the mark .sterna-pool.json of the clone",
	}));
}

/** The pool of this host that is the very pool in which the guest's volume is. */
function samePool(volume: Volume, { volumes }: IncomingGuest, { pools }: Pick<HostFacts, "pools">) {
	const poolId = volumes.find(({ volumeId }) => volumeId === volume.id)?.poolId;
	return pools.find((pool) => pool.name === volume.pool && pool.poolId === poolId);
}

function imagesOf(boot: IncomingGuest["spec"]["boot"], images: readonly Image[]): Record<string, string> {
	if (boot.from !== "kernel") return {};
	const wanted = [boot.kernel, ...(boot.initrd ? [boot.initrd] : [])];
	return Object.fromEntries(
		images.filter(({ name }) => wanted.includes(name)).map(({ name, sha256 }) => [name, sha256]),
	);
}
