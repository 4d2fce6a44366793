import type { GuestId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { type Api, Browser, ConsoleProcess, heard, until } from "./console-process.ts";
import { Fleet, ScriptedAgent } from "./scripted-agent.ts";

/** A console with three hosts in service that share a pool: guests move between them, and stop halfway when `fleet` is told to hold them. */
export class MoveScene {
	readonly console: ConsoleProcess;
	/** Who is signed in; a test that signs out puts another in its place. */
	browser: Browser;
	readonly fleet = new Fleet();
	readonly agents: ScriptedAgent[] = [];

	private constructor(console: ConsoleProcess, browser: Browser) {
		this.console = console;
		this.browser = browser;
	}

	static async start(): Promise<MoveScene> {
		const console = await ConsoleProcess.start();
		const scene = new MoveScene(console, await Browser.asFirstAdmin(console));
		for (const name of ["rack1-01", "rack1-02", "rack1-03"]) await scene.join(name);
		return scene;
	}

	get api(): Api {
		return this.browser.api;
	}

	async stop(): Promise<number | null> {
		this.fleet.letGo();
		for (const agent of this.agents) await agent.disconnect();
		return this.console.stop();
	}

	/** One more host, ready for guests. */
	async join(name: string): Promise<ScriptedAgent> {
		const { joinLine } = await this.api.hosts.createJoinToken.mutate({});
		const agent = await ScriptedAgent.join(joinLine, name, this.fleet);
		this.agents.push(agent);
		await heard(this.api, agent.identity.hostId);
		return agent;
	}

	agent(index: number): ScriptedAgent {
		const agent = this.agents[index];
		if (!agent) throw new Error(`no agent ${index}`);
		return agent;
	}

	agentOf(hostId: string): ScriptedAgent {
		const agent = this.agents.find(({ identity }) => identity.hostId === hostId);
		if (!agent) throw new Error(`no agent ${hostId}`);
		return agent;
	}

	/** A running guest with one disk in the shared pool. */
	async newGuest(name: string, on: ScriptedAgent = this.agent(0)): Promise<GuestId> {
		const { guestId } = await this.api.guests.create.mutate({
			...{ name, vcpus: 1, memoryBytes: 128 * MiB, boot: { from: "disk" }, networks: ["lan"] },
			...{ volumes: [{ pool: "shared", sizeBytes: 256 * MiB }], hostId: on.identity.hostId },
		});
		return guestId;
	}

	guest(guestId: string) {
		return this.api.guests.get.query({ guestId });
	}

	/** The move as it is when it has ended, however that was. */
	moveEnded(migrationId: string) {
		return until("the move's end", async () => {
			const move = await this.api.migrations.get.query({ migrationId });
			return move.endedAt !== null && move;
		});
	}

	/** Which agents believe that they run the guest. */
	ownersOf(guestId: GuestId): string[] {
		return this.agents.filter((agent) => agent.guests.get(guestId)?.role === "owner").map(({ name }) => name);
	}

	/** Starts the console that was killed, and has every host come back to it. */
	async restart(): Promise<void> {
		await this.console.restart();
		await Promise.all(this.agents.map((agent) => agent.reconnect()));
	}

	/** What the event log tells, by kinds. @throws when its chain of hashes is broken. */
	async toldKinds(): Promise<string[]> {
		const { brokenAt } = await this.api.events.verify.query();
		if (brokenAt !== null) throw new Error(`the event log is broken at ${brokenAt}`);
		return (await this.api.events.facets.query()).kinds;
	}
}
