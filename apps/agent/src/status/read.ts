import { access } from "node:fs/promises";
import { describe } from "@sterna/migration/handover";
import { SternaError } from "@sterna/shared/errors";
import type { AgentStatus, Output } from "@sterna/shared/protocol/commands";
import { type DamagedGuest, GuestStore } from "../guests/store.ts";
import { readIdentity } from "../identity/identity.ts";
import { connectLocally } from "../local.ts";

/** What a guest folder says while no agent runs. Whether the guest's process runs is not known then. */
export interface StoredStatus {
	guestId: string;
	name: string;
	/** Who may run it, as a sentence. */
	ownership: string;
	desired: "running" | "stopped" | "deleted";
}

export type Status =
	| { agent: "running"; status: AgentStatus; host: Output<"host.snapshot"> }
	| {
			agent: "notRunning";
			name: string | null;
			console: string | null;
			guests: StoredStatus[];
			damagedGuests: DamagedGuest[];
	  };

/** Asks the agent that runs on this data folder; without one, reads what its folders say. Needs no console. */
export async function readStatus(dataDir: string): Promise<Status> {
	await access(dataDir).catch((cause: unknown) => {
		throw new SternaError("not_found", `there is no data folder ${dataDir}, or it is not yours to read`, {
			cure: "run this as root, or name the folder: --data",
			cause,
		});
	});
	const connection = await connectLocally(dataDir);
	if (connection) {
		try {
			const { endpoint } = connection;
			const [status, host] = await Promise.all([endpoint.call("agent.status", {}), endpoint.call("host.snapshot", {})]);
			return { agent: "running", status, host };
		} finally {
			connection.close();
		}
	}
	const identity = await readIdentity(dataDir);
	const store = await GuestStore.open(dataDir);
	return {
		agent: "notRunning",
		name: identity?.name ?? null,
		console: identity ? `${identity.console.address}:${identity.console.port}` : null,
		guests: store.list().map(({ guestId, spec, record, run }) => ({
			guestId,
			name: spec.name,
			ownership: describe(record),
			desired: run.desired,
		})),
		damagedGuests: store.damaged(),
	};
}
