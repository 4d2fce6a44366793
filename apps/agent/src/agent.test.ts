import { expect, test } from "vitest";
import { guestSpec, joinedServer, testConsole } from "./fixtures/test-agent.ts";

test("a server joins, its agent connects, and the console creates and starts a guest on it", async () => {
	const console = await testConsole();
	const server = await joinedServer(console);
	await server.start();
	const { endpoint, hostId } = await console.connection();
	expect(hostId).toBe(server.hostId);
	const spec = guestSpec();
	await endpoint.call("guest.create", { spec, epoch: 1 });
	const started = await endpoint.call("guest.start", { guestId: spec.id, epoch: 1 });
	expect(started).toMatchObject({ state: "running", role: "owner", epoch: 1, accelerator: "simulated" });
	expect(server.machine.starts).toEqual([spec.id]);
});
