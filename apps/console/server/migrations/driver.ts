import { clockSlackMs } from "@sterna/migration/grants";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { HostId } from "@sterna/shared/ids";
import type { PeerAddress } from "@sterna/shared/protocol/commands";
import type { AgentHub } from "../agents/hub.ts";
import type { Core } from "../core.ts";
import type { MoveEntry } from "../inventory/inventory.ts";
import type { MoveRequest, Moves } from "./moves.ts";

/** A settled move whose source stays silent is closed after this time. */
const closeUnheardMs = 30_000;
const startTimeoutMs = 20_000;

/**
 * Carries moves forward: sends permits, repeats them after lost answers and restarts, passes cancels on. Everything it
 * needs stands in the database, so that a killed console goes on where it was; every command it sends can be repeated.
 */
export class MoveDriver {
	readonly #core: Core;
	readonly #hub: AgentHub;
	readonly #moves: Moves;
	/** Moves whose start was sent in this life of the console, and how often. */
	readonly #sent = new Map<string, number>();
	/** Those that an earlier life of the console may have sent. */
	readonly #inherited = new Set<string>();
	readonly #busy = new Set<string>();

	constructor({ core, hub, moves }: { core: Core; hub: AgentHub; moves: Moves }) {
		this.#core = core;
		this.#hub = hub;
		this.#moves = moves;
	}

	/**
	 * Grants the move and has the source's agent begin it.
	 * @throws {SternaError} when it was refused; nothing has changed then. A lost answer is no error: it is asked again.
	 */
	async begin(request: MoveRequest): Promise<MoveEntry> {
		const source = this.#core.inventory.guest(request.guestId).grant.ownerHostId;
		if (!this.#hub.isConnected(source)) {
			throw new SternaError(
				"host_offline",
				`the guest's host ${this.#core.inventory.hostName(source)} is not connected`,
			);
		}
		const move = await this.#moves.grant(request);
		// Nobody else asks meanwhile: what is refused here was refused at the only asking.
		this.#busy.add(move.id);
		try {
			await this.#start(move);
		} finally {
			this.#busy.delete(move.id);
		}
		if (move.endedAt !== null && move.error) {
			throw new SternaError(move.error.code, move.error.message, move.error.cure ? { cure: move.error.cure } : {});
		}
		return move;
	}

	/**
	 * Asks the source to unwind the move. It is cancelled when the source says so.
	 * @throws {SternaError} `wrong_state` when it is past its commit point or has ended; `host_offline`.
	 */
	async cancel(move: MoveEntry): Promise<void> {
		const refusal = refuseCancel(move);
		if (refusal) throw new SternaError("wrong_state", `${move.guestName} is not called back: ${refusal}`);
		await this.#moves.requestCancel(move);
		if (this.#hub.isConnected(move.sourceHostId)) await this.#sendCancel(move);
	}

	/**
	 * Looks after every open move once: called every few seconds, and when a host connects. Each move by itself, so that
	 * an agent that takes its time holds up its own moves only; fulfilled when those begun here have had their turn.
	 */
	async tick(): Promise<void> {
		const open = [...this.#core.inventory.moves.values()].filter((move) => move.endedAt === null);
		await Promise.all(open.map((move) => this.#lookAfter(move)));
	}

	async #lookAfter(move: MoveEntry): Promise<void> {
		if (this.#busy.has(move.id)) return;
		this.#busy.add(move.id);
		try {
			await this.#carryOn(move);
		} catch (thrown) {
			this.#core.log.warn({ err: asSternaError(thrown), migrationId: move.id }, "move not carried on, trying again");
		} finally {
			this.#busy.delete(move.id);
		}
	}

	async #carryOn(move: MoveEntry): Promise<void> {
		const { inventory, now } = this.#core;
		await this.#moves.settle(move.guestId);
		if (move.endedAt !== null) return;
		const guest = inventory.guests.get(move.guestId);
		const settled = guest?.grant.permit?.migrationId !== move.id;
		if (settled) {
			const silent = !this.#hub.isConnected(move.sourceHostId) || !move.acknowledged;
			if (silent && now() > move.startedAt + closeUnheardMs) await this.#moves.closeUnheard(move);
			else await this.#moves.conclude(move);
			return;
		}
		if (!this.#hub.isConnected(move.sourceHostId)) return;
		if (this.#mustAsk(move)) await this.#start(move);
		if (move.endedAt === null && move.cancelRequested && refuseCancel(move) === null) await this.#sendCancel(move);
	}

	/**
	 * Whether the source must be sent the permit (again): until it has answered, and when a move that it should know is
	 * overdue while its last report names none. That report may be older than the move, so the source itself is asked: it
	 * answers with the move, or refuses the late permit, and only then the permit is void.
	 */
	#mustAsk(move: MoveEntry): boolean {
		const { inventory } = this.#core;
		if (!this.#isOverdue(move)) return !move.acknowledged && this.#core.now() < move.permitExpiresAt;
		const said = inventory.guests.get(move.guestId)?.reports.get(move.sourceHostId);
		return said?.role === "owner" && said.migrationId !== move.id;
	}

	/** No agent begins it any more, whatever its clock says within reason. */
	#isOverdue(move: MoveEntry): boolean {
		return this.#core.now() > move.permitExpiresAt + clockSlackMs;
	}

	async #start(move: MoveEntry): Promise<void> {
		const { log } = this.#core;
		const target = this.#peerAddress(move.targetHostId);
		const sent = (this.#sent.get(move.id) ?? 0) + 1;
		this.#sent.set(move.id, sent);
		const onlyOnce = sent === 1 && !this.#inherited.has(move.id);
		try {
			const input = { permit: move.permit, target, options: move.options };
			const report = await this.#hub.call(move.sourceHostId, "migration.start", input, { timeoutMs: startTimeoutMs });
			await this.#moves.acknowledged(move);
			await this.#moves.reported(report);
		} catch (thrown) {
			const error = asSternaError(thrown);
			const unheard = ["unavailable", "timeout", "host_offline", "cancelled", "internal"].includes(error.code);
			log.info({ err: error, migrationId: move.id, sent }, "move not begun");
			if (!unheard && (onlyOnce || (this.#isOverdue(move) && this.#mustAsk(move))))
				await this.#moves.refused(move, error.toWire());
		}
		if (move.endedAt !== null) this.#sent.delete(move.id);
	}

	/** Call once after the inventory was loaded: these moves were begun by an earlier life of the console. */
	inherit(): void {
		for (const move of this.#core.inventory.moves.values()) if (move.endedAt === null) this.#inherited.add(move.id);
	}

	async #sendCancel(move: MoveEntry): Promise<void> {
		try {
			const report = await this.#hub.call(move.sourceHostId, "migration.cancel", { migrationId: move.id });
			await this.#moves.reported(report);
		} catch (thrown) {
			const error = asSternaError(thrown);
			this.#core.log.info({ err: error, migrationId: move.id }, "cancel not taken");
			if (error.code === "wrong_state") throw error;
		}
	}

	#peerAddress(hostId: HostId): PeerAddress {
		const host = this.#core.inventory.host(hostId);
		if (!host.facts) throw new SternaError("host_offline", `the address of ${host.name} is not known`);
		return peerAddressOf(hostId, host.facts);
	}
}

/** Where the host's agent listens for its peers. */
export function peerAddressOf(
	hostId: HostId,
	facts: { name: string; peerAddress: string; peerPort: number },
): PeerAddress {
	return { hostId, name: facts.name, address: facts.peerAddress, port: facts.peerPort };
}

/** Why the move cannot be cancelled any more; null when it can. */
export function refuseCancel(move: Pick<MoveEntry, "state" | "phase" | "endedAt" | "cancelRequested">): string | null {
	if (move.endedAt !== null) return `its move has ended (${move.state})`;
	if (move.state === "inDoubt" || move.phase === "handOver" || move.phase === "retireSource") {
		return "the guest belongs to its target already";
	}
	return null;
}
