import { sign } from "node:crypto";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { SternaError } from "@sterna/shared/errors";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import type { CallName, Input, Output } from "@sterna/shared/protocol/commands";
import { hostIdOfAltName } from "@sterna/shared/protocol/join";
import type { Permit, SignedPermit } from "@sterna/shared/protocol/permit";
import { Endpoint } from "@sterna/shared/protocol/rpc";
import { WebSocketServer } from "ws";
import { type Identity, writeIdentity } from "../../identity/identity.ts";
import { testAuthority } from "../../streams/test-authority.ts";

/** The least that agents take for their console: an authority that they trust, a socket that they dial, permits. */
export interface TestConsole {
	readonly port: number;
	/** Makes a host that has joined: an identity in its data folder. */
	join(dataDir: string, name: string): Promise<HostId>;
	/** Waits until the host is connected, at most `timeoutMs`, then calls it. */
	call<Name extends CallName>(hostId: HostId, command: Name, input: Input<Name>): Promise<Output<Name>>;
	permit(move: Pick<Permit, "guestId" | "epoch" | "sourceHostId" | "targetHostId">): {
		migrationId: MigrationId;
		permit: SignedPermit;
	};
	close(): Promise<void>;
}

const connectTimeoutMs = 15_000;

export async function openTestConsole(): Promise<TestConsole> {
	const authority = await testAuthority();
	const own = await authority.issueConsole();
	const endpoints = new Map<HostId, Endpoint>();
	const waiting = new Set<() => void>();
	const server = createServer({
		key: own.key,
		cert: own.certificate,
		ca: authority.certificate,
		requestCert: true,
		minVersion: "TLSv1.3",
	});
	const sockets = new WebSocketServer({ server, path: "/agent" });
	sockets.on("connection", (socket, request) => {
		const hostId = hostIdOfAltName((request.socket as TLSSocket).getPeerCertificate().subjectaltname);
		if (!hostId) return socket.terminate();
		const endpoint = new Endpoint({
			program: "test console",
			wire: {
				send: (text) => socket.send(text),
				close: () => socket.terminate(),
				drained: async () => {},
			},
			onOpen: () => {
				endpoints.set(hostId, endpoint);
				for (const look of waiting) look();
			},
		});
		socket.on("message", (data) => endpoint.receive(data.toString()));
		socket.on("error", () => {});
		socket.on("close", () => {
			endpoint.closed("the agent left");
			if (endpoints.get(hostId) === endpoint) endpoints.delete(hostId);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;

	function endpointOf(hostId: HostId): Promise<Endpoint> {
		return new Promise((resolve, reject) => {
			const look = () => {
				const endpoint = endpoints.get(hostId);
				if (!endpoint) return;
				clearTimeout(timer);
				waiting.delete(look);
				resolve(endpoint);
			};
			const timer = setTimeout(() => {
				waiting.delete(look);
				reject(new SternaError("host_offline", `host ${hostId} did not connect`));
			}, connectTimeoutMs);
			waiting.add(look);
			look();
		});
	}

	return {
		port,
		async join(dataDir, name) {
			const hostId = newId(HostId);
			const { key, certificate } = await authority.issue(hostId);
			const identity: Identity = {
				hostId,
				name,
				console: { address: "127.0.0.1", port },
				privateKey: key,
				certificate,
				authority: authority.certificate,
			};
			await writeIdentity(dataDir, identity);
			return hostId;
		},
		call: async (hostId, command, input) => (await endpointOf(hostId)).call(command, input, { timeoutMs: 60_000 }),
		permit(move) {
			const permit: Permit = {
				...move,
				guestId: GuestId.parse(move.guestId),
				migrationId: newId(MigrationId),
				expiresAt: Date.now() + 60_000,
			};
			const payload = Buffer.from(JSON.stringify(permit));
			const signature = sign("sha256", payload, authority.privateKey).toString("base64url");
			return {
				migrationId: permit.migrationId,
				permit: { payload: payload.toString("base64url"), signature },
			};
		},
		close: () => {
			for (const client of sockets.clients) client.terminate();
			return new Promise((resolve) => server.close(() => resolve()));
		},
	};
}
