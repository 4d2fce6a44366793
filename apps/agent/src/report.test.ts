import type { HostFacts } from "@sterna/shared/host";
import { GuestId, HostId, newId } from "@sterna/shared/ids";
import type { ReportEvent, TrackedReport } from "@sterna/shared/protocol/report";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { GuestView } from "./guests/lifecycle.ts";
import { Report } from "./report.ts";

const facts: HostFacts = {
	hostId: newId(HostId),
	name: "server-1",
	agentVersion: "0",
	bootId: "boot-1",
	peerAddress: "127.0.0.1",
	peerPort: 1,
	operatingSystem: "",
	kernel: "",
	cpuModel: "",
	cpuThreads: 1,
	memoryBytes: 0,
	qemuVersion: "10.0.0",
	machineTypes: [],
	probe: { accelerator: "simulated", reason: "" },
	pools: [],
	networks: [],
	images: [],
	repositoryFolders: [],
	simulated: true,
};

const guestIds = [newId(GuestId), newId(GuestId), newId(GuestId)];

function view(guestId: GuestId, state: GuestView["state"]): GuestView {
	return {
		guestId,
		name: "web-1",
		role: "owner",
		epoch: 1,
		state,
		accelerator: null,
		startedAt: null,
		migrationId: null,
		peerHostId: null,
		machine: null,
		remark: null,
	};
}

function newReport(): Report {
	let generation = 0;
	return new Report({ facts, nextGeneration: () => ++generation });
}

/** What a console knows after these events: by guest, its state. An older generation never overwrites a newer one. */
function apply(known: Map<string, { state: string; generation: number }>, event: ReportEvent): void {
	switch (event.type) {
		case "snapshot":
			known.clear();
			for (const { guestId, state, generation } of event.guests) known.set(guestId, { state, generation });
			return;
		case "guest.changed": {
			const { guestId, state, generation } = event.guest;
			expect(generation).toBeGreaterThan(known.get(guestId)?.generation ?? -1);
			known.set(guestId, { state, generation });
			return;
		}
		case "guest.removed":
			known.delete(event.guestId);
			return;
	}
}

/** Reads until the reader has caught up with the report's last id. */
async function readUntil(report: Report, after: TrackedReport | undefined, lastId: number): Promise<TrackedReport[]> {
	const abort = new AbortController();
	const events: TrackedReport[] = [];
	for await (const event of report.follow(after && { run: after.run, id: after.id }, abort.signal)) {
		events.push(event);
		if (event.id >= lastId) abort.abort();
	}
	return events;
}

test("however the console is cut off and resumes, it knows in the end what the host knows", async () => {
	const change = fc.record({
		guest: fc.nat(2),
		state: fc.constantFrom("running", "stopped", "paused", "crashed", null),
		/** The console reads up to here, then is cut off. */
		reads: fc.boolean(),
	});
	await fc.assert(
		fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 30 }), async (changes) => {
			const report = newReport();
			const known = new Map<string, { state: string; generation: number }>();
			let last: TrackedReport | undefined;
			let lastId = 1;
			const catchUp = async () => {
				if (last && last.id >= lastId) return;
				for (const tracked of await readUntil(report, last, lastId)) {
					apply(known, tracked.event);
					last = tracked;
				}
			};
			for (const { guest, state, reads } of changes) {
				const guestId = guestIds[guest] ?? newId(GuestId);
				const before = report.guest(guestId)?.state ?? null;
				report.setGuest(guestId, state && view(guestId, state));
				if (before !== state) lastId++;
				if (reads) await catchUp();
			}
			await catchUp();
			const there = report.snapshot().guests.map(({ guestId, state, generation }) => [guestId, { state, generation }]);
			expect([...known].sort()).toEqual(there.sort());
		}),
		{ numRuns: 60 },
	);
});

test("ten thousand changes of one guest reach a slow console as its newest state, not as ten thousand events", async () => {
	const report = newReport();
	const [guestId = newId(GuestId)] = guestIds;
	const [snapshot] = await readUntil(report, undefined, 1);
	for (let index = 0; index < 10_000; index++)
		report.setGuest(guestId, view(guestId, index % 2 ? "running" : "paused"));
	const events = await readUntil(report, snapshot, 10_001);
	expect(events).toMatchObject([{ id: 10_001, event: { type: "guest.changed", guest: { state: "running" } } }]);
});

test("what did not change is not told again", async () => {
	const report = newReport();
	const [guestId = newId(GuestId)] = guestIds;
	report.setGuest(guestId, view(guestId, "running"));
	const first = report.guest(guestId);
	report.setGuest(guestId, view(guestId, "running"));
	report.setFacts({ ...facts });
	report.setFindings([]);
	expect(report.guest(guestId)).toBe(first);
	report.setFindings([]);
	const [snapshot] = await readUntil(report, undefined, 2);
	expect(snapshot?.id).toBe(2);
});

test("a console that was away for more removals than are kept gets a snapshot instead of a gap", async () => {
	const report = newReport();
	const [snapshot] = await readUntil(report, undefined, 1);
	for (let index = 0; index < 1200; index++) {
		const guestId = newId(GuestId);
		report.setGuest(guestId, view(guestId, "stopped"));
		report.setGuest(guestId, null);
	}
	const [resumed] = await readUntil(report, snapshot, 2401);
	expect(resumed).toMatchObject({ id: 2401, event: { type: "snapshot", guests: [] } });
});
