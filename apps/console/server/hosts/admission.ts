import { SternaError } from "@sterna/shared/errors";
import { HostId, newId } from "@sterna/shared/ids";
import type { JoinRequest, JoinResponse } from "@sterna/shared/protocol/join";
import { and, eq, lt } from "drizzle-orm";
import type { AgentHub } from "../agents/hub.ts";
import { redeemJoinToken } from "../agents/join-tokens.ts";
import type { Authority } from "../authority/authority.ts";
import type { Core } from "../core.ts";
import { isTaken } from "../db/errors.ts";
import * as tables from "../db/schema.ts";
import { type HostEntry, newHostEntry } from "../inventory/inventory.ts";

/** Which servers are let in: joining, renewing, revoking, and keeping copied identities out. */
export class Admission {
	readonly #core: Core;
	readonly #authority: Authority;
	#hub: AgentHub | null = null;

	constructor(core: Core, authority: Authority) {
		this.#core = core;
		this.#authority = authority;
	}

	/** The hub comes after, because it asks here whom to let in. */
	attach(hub: AgentHub): void {
		this.#hub = hub;
	}

	/**
	 * Lets a new server in for a join token.
	 * @throws {SternaError} `forbidden` for the token; `conflict` for a taken name; `invalid` for the certificate request.
	 */
	async join(request: JoinRequest, clientAddress: string): Promise<JoinResponse> {
		const { db, inventory, events, now, changes } = this.#core;
		const hostId = newId(HostId);
		const { issued, row } = await redeemJoinToken(db, { secret: request.secret, now: now() }, async (tx, token) => {
			const certificate = await this.#authority.issueHost(hostId, request.certificateRequest);
			const [inserted] = await tx
				.insert(tables.hosts)
				.values({ id: hostId, name: request.name, joinedAt: now() })
				.returning()
				.catch((error) => {
					if (!isTaken(error)) throw error;
					throw new SternaError("conflict", `there is a host named ${request.name} already`, {
						cure: "give this server another name with --name, or revoke the old host first",
					});
				});
			if (!inserted) throw new SternaError("internal", "the host was not recorded");
			await tx.insert(tables.hostCertificates).values(certificateRow(hostId, certificate));
			await events.append(
				{
					kind: "host.joined",
					actor: token.createdBy,
					objects: [{ type: "host", id: hostId, name: request.name }],
					sentence: `${request.name} joined from ${clientAddress}`,
					why: token.remark || "with a join line",
				},
				tx,
			);
			return { hostId, issued: certificate, row: inserted };
		});
		inventory.hosts.set(hostId, newHostEntry(row, issued.expiresAt, now()));
		changes.touch("overview", "hosts");
		return { hostId, certificate: issued.pem, authority: this.#authority.certificatePem };
	}

	/** A fresh certificate for a host that is let in. @throws {SternaError} `forbidden`; `invalid`. */
	async renew(hostId: HostId, certificateRequest: string): Promise<JoinResponse> {
		const host = this.admit(hostId);
		const issued = await this.#authority.issueHost(hostId, certificateRequest);
		await this.#core.db.insert(tables.hostCertificates).values(certificateRow(hostId, issued));
		host.certificateExpiresAt = issued.expiresAt;
		return { hostId, certificate: issued.pem, authority: this.#authority.certificatePem };
	}

	/** The host, when its door is open. @throws {SternaError} `forbidden` that says why not. */
	admit(hostId: HostId): HostEntry {
		const host = this.#core.inventory.hosts.get(hostId);
		if (!host) throw new SternaError("forbidden", "this console does not know the host of this certificate");
		if (host.revokedAt !== null) throw new SternaError("forbidden", `the certificate of ${host.name} was revoked`);
		if (host.quarantinedBecause) {
			throw new SternaError("forbidden", `${host.name} is kept out: ${host.quarantinedBecause}`, {
				cure: "find the copy, revoke the host, and join it anew",
			});
		}
		return host;
	}

	isRefused(hostId: HostId): boolean {
		const host = this.#core.inventory.hosts.get(hostId);
		return !host || host.revokedAt !== null || host.quarantinedBecause !== null;
	}

	/** Whether the connection number is higher than any before; in one statement, so that two claims cannot both win. */
	async claimConnection(hostId: HostId, connection: number): Promise<boolean> {
		const rows = await this.#core.db
			.update(tables.hosts)
			.set({ lastConnection: connection })
			.where(and(eq(tables.hosts.id, hostId), lt(tables.hosts.lastConnection, connection)))
			.returning({ id: tables.hosts.id });
		return rows.length > 0;
	}

	/** Two servers use one identity: neither is let in until a person has looked. */
	async quarantine(hostId: HostId, because: string): Promise<void> {
		const { db, inventory, events, changes } = this.#core;
		const host = inventory.host(hostId);
		if (host.quarantinedBecause) return;
		// The door closes at once; row and event follow together.
		host.quarantinedBecause = because;
		await db.transaction(async (tx) => {
			await tx.update(tables.hosts).set({ quarantinedBecause: because }).where(eq(tables.hosts.id, hostId));
			await events.append(
				{
					kind: "host.quarantined",
					actor: "console",
					objects: [{ type: "host", id: hostId, name: host.name }],
					sentence: `${host.name} is kept out: two servers use its identity`,
					why: because,
					severity: "failing",
				},
				tx,
			);
		});
		changes.touch("overview", "hosts", `host:${hostId}`);
	}

	/** Refuses the host's certificates from now on, here and at every other host. */
	async revoke(hostId: HostId, actor: string, reason: string): Promise<void> {
		const { db, inventory, events, changes, now } = this.#core;
		const host = inventory.host(hostId);
		if (host.revokedAt !== null) throw new SternaError("wrong_state", `${host.name} is revoked already`);
		const revokedAt = now();
		await db.transaction(async (tx) => {
			await tx.update(tables.hosts).set({ revokedAt }).where(eq(tables.hosts.id, hostId));
			await events.append(
				{
					kind: "host.revoked",
					actor,
					objects: [{ type: "host", id: hostId, name: host.name }],
					sentence: `${actor} revoked ${host.name}`,
					why: reason || null,
				},
				tx,
			);
		});
		host.revokedAt = revokedAt;
		this.#hub?.drop(hostId, "this host was revoked");
		for (const other of this.#hub?.connectedHosts() ?? []) void this.sendRevocations(other);
		changes.touch("overview", "hosts", `host:${hostId}`);
	}

	/** Tells a host whose certificates no longer count. Told again at its next connection when it fails. */
	async sendRevocations(hostId: HostId): Promise<void> {
		const revoked = [...this.#core.inventory.hosts.values()].filter((host) => host.revokedAt !== null);
		try {
			await this.#hub?.call(hostId, "host.setRevocations", { hostIds: revoked.map((host) => host.id) });
		} catch (err) {
			this.#core.log.warn({ err, hostId }, "revocations not told");
		}
	}
}

function certificateRow(hostId: HostId, issued: { serial: string; issuedAt: number; expiresAt: number }) {
	return { serial: issued.serial, hostId, issuedAt: issued.issuedAt, expiresAt: issued.expiresAt };
}
