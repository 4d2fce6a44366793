import { once } from "node:events";
import { HostId, newId } from "@sterna/shared/ids";
import { spokenVersions } from "@sterna/shared/protocol/version";
import { pino } from "pino";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { AgentHub } from "./hub.ts";

test("a host whose new connection takes the place of a dead one and then fails as well counts as gone", async () => {
	const hostId = newId(HostId);
	const heard: string[] = [];
	const hub = new AgentHub({
		log: pino({ level: "silent" }),
		listener: {
			...{ claimConnection: async () => true, quarantine: async () => {}, misbehaved: () => {} },
			...{ resumeAfter: () => undefined, report: async () => {} },
			connected: () => heard.push("connected"),
			disconnected: () => heard.push("disconnected"),
		},
	});
	const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
	server.on("connection", (socket) => void hub.admit(hostId, socket, Number.POSITIVE_INFINITY));
	await once(server, "listening");
	const address = server.address();
	const url = `ws://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;

	// Its network swallows everything: it answers no ping and does not notice its end.
	const dead = new WebSocket(url, { autoPong: false });
	await once(dead, "open");
	dead.send(JSON.stringify({ type: "hello", versions: [...spokenVersions], program: "test", connection: 1 }));
	await expect.poll(() => heard).toEqual(["connected"]);

	const next = new WebSocket(url);
	await once(next, "open");
	next.terminate();
	await expect.poll(() => hub.isConnected(hostId)).toBe(false);
	await expect.poll(() => heard).toEqual(["connected", "disconnected"]);
	hub.close();
	dead.terminate();
	server.close();
});
