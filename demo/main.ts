import { protectGuests } from "./backups.ts";
import { type Demo, type GuestWish, startDemo } from "./demo.ts";
import { demoFolder, prepare } from "./prepare.ts";
import { until } from "./until.ts";

/** Three with a file system to look into when they are backed up, and one that writes as much as it can. */
const guests: GuestWish[] = [
	{ name: "web-1", pool: "shared", load: "tree", beatMs: 100, server: "rack1-01" },
	{ name: "web-2", pool: "local", load: "tree", beatMs: 100, server: "rack1-02" },
	{ name: "orders-db", pool: "local", load: "writer", beatMs: 100, server: "rack1-02" },
	{ name: "cache-1", pool: "shared", load: "tree", beatMs: 100, server: "rack1-03" },
];

export interface RunDemoOptions {
	/** Start, count, and end. */
	check: boolean;
	consolePort: number;
	development?: boolean;
}

/** `./sterna demo`: runs until Ctrl-C, or with `check` until everything was seen running. Returns the exit code. */
export async function runDemo({ check, consolePort, development = false }: RunDemoOptions): Promise<number> {
	const startedAt = Date.now();
	const say = (line: string) => console.error(`demo: ${line}`);
	const interrupted = new Promise<"interrupted">((resolve) => {
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve("interrupted"));
	});
	const prepared = await Promise.race([prepare(say, development ? "agent" : "all"), interrupted]);
	if (prepared === "interrupted") process.exit(130);
	const starting = startDemo({
		id: "sd",
		subnet: 77,
		serverCount: 3,
		consolePort,
		folder: demoFolder("demo"),
		...prepared,
		development,
		say,
	}).then(async (demo) => {
		try {
			for (const wish of guests) {
				say(`creating the guest ${wish.name}`);
				await demo.addGuest(wish);
			}
			return demo;
		} catch (error) {
			await demo.close();
			throw error;
		}
	});
	const first = await Promise.race([starting, interrupted]);
	if (first === "interrupted") {
		say("ending what was started");
		await starting.then((demo) => demo.close()).catch(() => {});
		return 130;
	}
	try {
		if (check) {
			console.log(JSON.stringify({ ...(await count(first)), seconds: Math.round((Date.now() - startedAt) / 1000) }));
			return 0;
		}
		say(`ready after ${Math.round((Date.now() - startedAt) / 1000)} s`);
		say(`open ${first.console.setupUrl} and make the first admin`);
		// A demo without backups is still one: what failed is said.
		await protectGuests(first.api, say).catch((error: Error) => say(`the guests are not backed up: ${error.message}`));
		say("Ctrl-C ends everything it started, and nothing else");
		await interrupted;
		say("ending guests, agents and console");
		return 0;
	} finally {
		await first.close();
	}
}

async function count({ api, heartbeats }: Demo): Promise<{ hostsOnline: number; guestsRunning: number }> {
	const beating = heartbeats.pulses().map((pulse) => ({ guest: pulse.guest, seq: pulse.lastSeq }));
	await until("every guest's next heartbeat", 10_000, async () =>
		beating.every(({ guest, seq }) => (heartbeats.pulse(guest)?.lastSeq ?? 0) > seq),
	);
	const overview = await api.overview.get.query();
	return { hostsOnline: overview.figures.hosts.online, guestsRunning: overview.figures.guests.running };
}
