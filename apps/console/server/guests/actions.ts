import { checkStanding } from "@sterna/migration/plan";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { type GuestAction, type GuestReport, type GuestState, refuseGuestAction } from "@sterna/shared/guest";
import type { GuestId, HostId } from "@sterna/shared/ids";
import type { MigrationOptions, Refusal } from "@sterna/shared/migration";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import type { GuestEntry, HostEntry, MoveEntry } from "../inventory/inventory.ts";
import { isNewer } from "../inventory/sequence.ts";
import { connectionOf, guestStanding, healthStateOf, situationOf } from "../inventory/standing.ts";
import { type MoveDriver, peerAddressOf } from "../migrations/driver.ts";
import { choosePlacement, nobodyTakes, type PlacementChoice } from "../placement/candidates.ts";
import { askTargets, targetsToAsk } from "../placement/targets.ts";
import { matches } from "../present/paging.ts";
import type { BulkResult, MigrationPlanView, PlacementCandidate } from "../views-guests.ts";
import type { GuestExistence } from "./existence.ts";
import { GuestLocks } from "./locks.ts";

export type PowerAction = Exclude<GuestAction, "migrate">;

const commandTimeoutMs: Record<Exclude<PowerAction, "delete">, number> = {
	start: 60_000,
	shutDown: 15_000,
	// A stuck disk is given a minute to close in order, or what is tracked of its changes is lost.
	powerOff: 75_000,
	pause: 15_000,
	resume: 15_000,
};
const wording: Record<Exclude<PowerAction, "delete">, { kind: string; done: string; asked: string }> = {
	start: { kind: "guest.started", done: "started", asked: "start" },
	shutDown: { kind: "guest.shutDownRequested", done: "pressed the power button of", asked: "shut down" },
	powerOff: { kind: "guest.poweredOff", done: "powered off", asked: "power off" },
	pause: { kind: "guest.paused", done: "paused", asked: "pause" },
	resume: { kind: "guest.resumed", done: "resumed", asked: "resume" },
};
const planTimeoutMs = 15_000;
const bulkAtOnce = 4;

/** What a person does with a guest. One table says what is allowed; the agent, who sees the guest, has the last word. */
export class GuestActions {
	readonly #core: Core;
	readonly #hub: AgentHub;
	readonly #existence: GuestExistence;
	readonly #driver: MoveDriver;
	readonly #locks = new GuestLocks();

	constructor(parts: { core: Core; hub: AgentHub; existence: GuestExistence; driver: MoveDriver }) {
		this.#core = parts.core;
		this.#hub = parts.hub;
		this.#existence = parts.existence;
		this.#driver = parts.driver;
	}

	/** @throws {SternaError} `wrong_state` with the table's sentence; `conflict`; what the agent refused. */
	async power(action: PowerAction, guestId: GuestId, actor: string): Promise<GuestState> {
		const guest = this.#core.inventory.guest(guestId);
		return this.#locks.hold(guest, action, async () => {
			this.#refuse(action, guest);
			if (action === "delete") {
				await this.#existence.delete(guest, actor);
				return "stopped";
			}
			const { ownerHostId, ownerEpoch } = guest.grant;
			const host = this.#core.inventory.host(ownerHostId);
			if (action === "start" && host.mode !== "normal") {
				throw new SternaError("wrong_state", `${guest.name} does not start: ${host.name} is in ${host.mode}`, {
					cure: `end the maintenance of ${host.name} first`,
				});
			}
			const { kind, done, asked } = wording[action];
			const who = {
				actor,
				objects: [
					{ type: "guest" as const, id: guest.id, name: guest.name },
					{ type: "host" as const, id: host.id, name: host.name },
				],
			};
			const input = { guestId, epoch: ownerEpoch };
			const options = { timeoutMs: commandTimeoutMs[action] };
			const report = await this.#hub.call(ownerHostId, `guest.${action}`, input, options).catch(async (thrown) => {
				const { code, message } = asSternaError(thrown);
				// It may have been done: whoever looks for a reason later must find who asked for it.
				if (code === "timeout" || code === "unavailable") {
					const sentence = `${actor} asked to ${asked} ${guest.name}; whether it was done is not known`;
					await this.#core.events.append({ kind: "guest.unanswered", ...who, sentence, why: message });
				}
				throw thrown;
			});
			this.#apply(guest, ownerHostId, report);
			await this.#core.events.append({ kind, ...who, sentence: `${actor} ${done} ${guest.name}` });
			return report.state;
		});
	}

	/** The same for many; each has a result of its own. */
	async bulk(action: PowerAction, guestIds: readonly GuestId[], actor: string): Promise<BulkResult[]> {
		const results: BulkResult[] = [];
		const waiting = [...new Set(guestIds)];
		const work = async () => {
			for (let guestId = waiting.shift(); guestId; guestId = waiting.shift()) {
				const name = this.#core.inventory.guests.get(guestId)?.name ?? null;
				try {
					const state = await this.power(action, guestId, actor);
					const message = action === "delete" ? "deleted" : `it is ${state}`;
					results.push({ guestId, name, ok: true, message, cure: null });
				} catch (thrown) {
					const { message, cure = null } = asSternaError(thrown);
					results.push({ guestId, name, ok: false, message, cure });
				}
			}
		};
		await Promise.all(Array.from({ length: bulkAtOnce }, work));
		return results;
	}

	/**
	 * Other hosts with `filter` in their names as targets. Hosts that take nobody are refused here; the others are asked through
	 * the source, no more of them than a person reads, as long as one of them takes the guest: a question to each of thousands would
	 * come with every look at a guest.
	 */
	async planMigration(guestId: GuestId, filter: string): Promise<MigrationPlanView> {
		const { inventory, now } = this.#core;
		const guest = inventory.guest(guestId);
		const source = inventory.host(guest.grant.ownerHostId);
		const own = refuseGuestAction("migrate", situationOf(guest, inventory, now()));
		const others = [...inventory.hosts.values()].filter(
			(host) => host.id !== source.id && host.revokedAt === null && matches(filter, host.name),
		);
		const places = this.#places(guest);
		const ask = async (target: HostEntry): Promise<MigrationPlanView["candidates"][number]> => {
			const ref = { id: target.id, name: target.name };
			const refusals: Refusal[] = own
				? [{ code: "wrong_state", message: `${guest.name} does not move: ${own}` }]
				: this.#standing(target);
			if (refusals.length > 0) return { target: ref, chosen: false, plan: null, refusals };
			try {
				const plan = await this.#askPlan(guest, target);
				// What is promised to others, only the console knows: a host that the agents find fit may be refused all the same.
				const placed = places.candidates.find(({ host }) => host.id === target.id)?.refusals ?? [];
				return { target: ref, chosen: false, plan, refusals: plan.refusals.length > 0 ? plan.refusals : placed };
			} catch (thrown) {
				return { target: ref, chosen: false, plan: null, refusals: [asSternaError(thrown).toWire()] };
			}
		};
		// A guest that does not move at all is refused by every host: the first are enough to read that.
		const candidates = own
			? await Promise.all(targetsToAsk(others, places.hostIds).map(ask))
			: await askTargets(others, places.hostIds, ask);
		const best = places.hostIds.find((id) =>
			candidates.some(({ target, refusals }) => target.id === id && refusals.length === 0),
		);
		return {
			guest: { id: guest.id, name: guest.name },
			source: { id: source.id, name: source.name },
			candidates: candidates.map((candidate) => ({ ...candidate, chosen: candidate.target.id === best })),
			notAsked: others.length - candidates.length,
		};
	}

	/**
	 * Plans, then begins the move. Without a target the planner's best is taken.
	 * @throws {SternaError} the first refusal of the plan; nothing has changed then.
	 */
	async migrate(
		request: { guestId: GuestId; targetHostId?: HostId | undefined; options: MigrationOptions },
		actor: string,
	): Promise<MoveEntry> {
		const { inventory } = this.#core;
		const guest = inventory.guest(request.guestId);
		const wanted = request.targetHostId ? inventory.host(request.targetHostId) : null;
		return this.#locks.hold(guest, "migrate", async () => {
			if (wanted?.id === guest.grant.ownerHostId) {
				throw new SternaError("conflict", `${guest.name} is on ${wanted.name} already`, {
					cure: "choose another host",
				});
			}
			this.#refuse("migrate", guest);
			const target = wanted ?? (await this.#chooseTarget(guest));
			const [refusal] = [...this.#standing(target), ...(wanted ? (await this.#askPlan(guest, target)).refusals : [])];
			if (refusal) throw new SternaError(refusal.code, refusal.message, refusal.cure ? { cure: refusal.cure } : {});
			return this.#driver.begin({
				guestId: guest.id,
				targetHostId: target.id,
				options: request.options,
				requestedBy: actor,
				evacuationId: null,
				why: null,
			});
		});
	}

	/** @throws {SternaError} naming every other host with what it refuses for. */
	async #chooseTarget(guest: GuestEntry): Promise<HostEntry> {
		const { hostIds, candidates } = this.#places(guest);
		const answers: Pick<PlacementCandidate, "host" | "refusals">[] = [];
		for (const hostId of hostIds) {
			const target = this.#core.inventory.host(hostId);
			const refusals = await this.#refusalsOf(guest, target);
			if (refusals.length === 0) return target;
			answers.push({ host: { id: target.id, name: target.name }, refusals });
		}
		const others = candidates.filter(({ host }) => !answers.some((answer) => answer.host.id === host.id));
		throw nobodyTakes(guest.name, [...answers, ...others], "wait, make room on one of them, or join another server");
	}

	/** What the two agents say against the move; one that cannot be asked refuses with that. */
	async #refusalsOf(guest: GuestEntry, target: HostEntry): Promise<Refusal[]> {
		return this.#askPlan(guest, target).then(
			({ refusals }) => refusals,
			(thrown) => [asSternaError(thrown).toWire()],
		);
	}

	#places(guest: GuestEntry): PlacementChoice {
		const { inventory, now } = this.#core;
		const { report, host } = guestStanding(guest, inventory, now());
		const running =
			report?.machine && report.accelerator && host.facts
				? { machine: report.machine, accelerator: report.accelerator, qemuVersion: host.facts.qemuVersion }
				: null;
		const exclude = new Set([guest.grant.ownerHostId]);
		return choosePlacement(inventory, { spec: guest.spec, exclude, running }, now());
	}

	#askPlan(guest: GuestEntry, target: HostEntry) {
		if (!target.facts) throw new SternaError("host_offline", `${target.name} was never heard`);
		const input = { guestId: guest.id, target: peerAddressOf(target.id, target.facts) };
		return this.#hub.call(guest.grant.ownerHostId, "migration.plan", input, { timeoutMs: planTimeoutMs });
	}

	#standing(host: HostEntry): Refusal[] {
		const now = this.#core.now();
		const online = host.connected && connectionOf(host, now) === "online";
		return checkStanding(host.name, { online, mode: host.mode, health: healthStateOf(host, now) });
	}

	#refuse(action: GuestAction, guest: GuestEntry): void {
		const { inventory, now } = this.#core;
		const unfinished = {
			creating: "its creation is not finished",
			deleting: "it is being deleted",
			restoring: "its restore is not finished",
			present: null,
		};
		const reason = unfinished[guest.existence] ?? refuseGuestAction(action, situationOf(guest, inventory, now()));
		if (!reason) return;
		const offline = !inventory.host(guest.grant.ownerHostId).connected;
		throw new SternaError(offline ? "host_offline" : "wrong_state", `${guest.name}: ${reason}`);
	}

	/** The answer is news too; the stream of reports may be a moment behind. */
	#apply(guest: GuestEntry, hostId: HostId, report: GuestReport): void {
		if (guest.grant.ownerHostId !== hostId || !isNewer(guest.reports.get(hostId), report)) return;
		guest.reports.set(hostId, report);
		this.#core.changes.touch("overview", "guests", `guest:${guest.id}`);
	}
}
