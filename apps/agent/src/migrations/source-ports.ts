import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { uidOf } from "@sterna/hypervisor/qemu/confinement";
import type { MoveFacts } from "@sterna/migration/journal";
import type { PreparedTarget, RecordPort, SourcePort, TargetPort } from "@sterna/migration/ports";
import type { ErrorCode } from "@sterna/shared/errors";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import { VolumeId } from "@sterna/shared/ids";
import type { Input } from "@sterna/shared/protocol/commands";
import type { AgentContext } from "../context.ts";
import { openSourceTransfer, type SourceTransfer } from "../streams/streams.ts";
import type { Observe } from "./observe.ts";

/** The guest's process on this host and the streams of one move. */
export function sourcePort(
	context: AgentContext,
	{ migrationId, guestId, target }: MoveFacts,
	observe: Observe,
): SourcePort {
	const { hypervisor, store, places, dataDir, log } = context;
	let transfer: SourceTransfer | null = null;

	/** What the driver is asked to send goes over the streams: when they die, the reason is theirs. */
	function overStreams<Result>(sending: Promise<Result>): Promise<Result> {
		const died = transfer?.ended.then((error) => (error ? Promise.reject(error) : new Promise<never>(() => {})));
		return died ? Promise.race([sending, died]) : sending;
	}

	async function openStreams(prepared: PreparedTarget) {
		await transfer?.destroy();
		const { key, cert, ca } = context.credentials();
		const folder = join(dataDir, "streams");
		// The guest's own user must pass to its own folder inside.
		await mkdir(folder, { recursive: true, mode: 0o711 });
		const { simulated } = await hypervisor.probe();
		const uid = process.getuid?.() === 0 && !simulated ? uidOf(guestId) : null;
		transfer = await openSourceTransfer({
			identity: { key, certificate: cert, authority: ca },
			peerHostId: target.hostId,
			address: target.address,
			port: prepared.streamPort,
			memoryTicket: prepared.memoryTicket,
			diskTickets: Object.entries(prepared.diskTickets).map(([id, ticket]) => ({
				volumeId: VolumeId.parse(id),
				ticket,
			})),
			folder: join(folder, migrationId.slice(-12)),
			socketOwner: uid === null ? null : { uid, gid: uid },
		});
		void transfer.ended.then((error) => error && log.warn({ migrationId, err: error }, "streams of a migration died"));
		return { memorySocket: transfer.memorySocket, disks: transfer.disks };
	}

	return {
		processState: async () => (await hypervisor.inspect(guestId)).state,
		async openStreams(prepared) {
			await observe("source:copyDisks");
			return openStreams(prepared);
		},
		async closeStreams() {
			await transfer?.destroy();
			transfer = null;
		},
		copyDisks: (request, signal) => overStreams(hypervisor.copyDisks(request, signal)),
		async copyMemory(request, signal) {
			await observe("source:copyMemory");
			return overStreams(hypervisor.copyMemory(request, signal));
		},
		async switchOver(_guestId, signal) {
			await observe("source:switchOver");
			return overStreams(hypervisor.switchOver(guestId, signal));
		},
		cancelMigration: () => hypervisor.cancelMigration(guestId),
		async retire(_guestId, copiedVolumes) {
			await observe("source:retireSource");
			await hypervisor.powerOff(guestId);
			const spec = store.get(guestId)?.spec;
			if (!spec) return;
			for (const location of places.volumes(spec)) {
				if (copiedVolumes.includes(location.volumeId)) await hypervisor.deleteVolume(location);
			}
		},
	};
}

const quickMs = 5000;
const prepareMs = 60_000;
const discardMs = 10_000;

/** Codes of a connection that came to nothing: they say nothing about what the target did. */
const unheard: readonly ErrorCode[] = ["host_offline", "unavailable", "timeout", "cancelled", "forbidden"];

/** `incoming.*` of the target; `request` is null when a former life of this agent has asked for it already. */
export function targetPort(
	{ peers }: AgentContext,
	{ migrationId, guestId, epoch, target }: MoveFacts,
	request: Input<"incoming.prepare"> | null,
	observe: Observe,
): TargetPort {
	const name = { migrationId, guestId };
	const heard = async <Answer>(answer: Promise<Answer>): Promise<Answer> => {
		try {
			return await answer;
		} catch (thrown) {
			const error = asSternaError(thrown);
			if (!unheard.includes(error.code)) throw error;
			throw new SternaError("unavailable", `${target.name} did not answer: ${error.message}`, { cause: error });
		}
	};
	return {
		async prepare(signal) {
			if (!request) throw new SternaError("internal", "a resumed migration is never prepared again");
			await observe("source:prepareTarget");
			return peers.call(target, "incoming.prepare", request, { timeoutMs: prepareMs, signal });
		},
		async renew() {
			const answer = await heard(peers.call(target, "incoming.renew", name, { timeoutMs: quickMs }));
			if (answer.state === "loaded") await observe("source:handOver");
			return answer;
		},
		async run() {
			await observe("source:committed");
			return heard(peers.call(target, "incoming.run", { ...name, epoch }, { timeoutMs: quickMs }));
		},
		async discard(permit) {
			await heard(peers.call(target, "incoming.discard", { permit }, { timeoutMs: discardMs }));
		},
	};
}

/** The store's records, with every change told. */
export function recordPort({ store, announce }: AgentContext): RecordPort {
	return {
		read: (guestId) => store.read(guestId),
		async update(guestId, decide) {
			const decision = await store.update(guestId, decide);
			if (decision.verdict === "accept") announce.guestChanged(guestId);
			return decision;
		},
	};
}
