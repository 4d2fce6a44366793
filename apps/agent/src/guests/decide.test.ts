import type { OwnershipRecord } from "@sterna/migration/ownership-record";
import type { GuestState } from "@sterna/shared/guest";
import { GuestId, HostId, MigrationId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { decide, type LifecycleCommand } from "./decide.ts";

const guestId = newId(GuestId);
const migrationId = newId(MigrationId);
const target = { hostId: newId(HostId), name: "server-2", address: "10.0.0.2", port: 7676 };
const permit = { payload: "cGVybWl0", signature: "c2lnbmVk" };
const owner: OwnershipRecord = {
	role: "owner",
	guestId,
	epoch: 4,
	highestEpoch: 4,
	outgoing: null,
	arrival: null,
};

const commands = ["start", "shutDown", "powerOff", "pause", "resume", "delete"] as const;

/** `+` carried out, `=` so already, `-` refused; one column per command above. */
const table: Record<Exclude<GuestState, "unknown">, string> = {
	stopped: "+ = = - - +",
	starting: "= - + - - -",
	running: "= + + + = -",
	paused: "- - + = + -",
	stopping: "- + + - - -",
	crashed: "+ = = - - +",
};

test.each(Object.entries(table))("what may be asked of a guest that is %s", (state, row) => {
	const signs = commands.map((command) => {
		const verdict = ask(command, { state: state as GuestState });
		if (verdict.verdict === "refuse") {
			expect(verdict).toMatchObject({ code: "wrong_state", message: expect.stringContaining(`it is ${state}`) });
		}
		return { accept: "+", alreadySo: "=", refuse: "-" }[verdict.verdict];
	});
	expect(signs.join(" ")).toBe(row);
});

test.each([
	["a lower epoch", owner, 3, "conflict"],
	["a higher epoch than was granted", owner, 5, "wrong_state"],
	["no record", null, 4, "not_found"],
	["a guest that was deleted or moved away", { role: "none", guestId, highestEpoch: 4, arrival: null }, 4, "not_found"],
	[
		"a guest that is arriving",
		{ role: "incoming", guestId, epoch: 4, highestEpoch: 4, migrationId, sourceHostId: target.hostId, arrival: null },
		4,
		"wrong_state",
	],
	[
		"a guest that was handed over",
		{ role: "released", guestId, epoch: 4, highestEpoch: 4, migrationId, target, heard: false, arrival: null },
		4,
		"wrong_state",
	],
	[
		"a guest that is being moved away",
		{ ...owner, highestEpoch: 5, outgoing: { migrationId, epoch: 5, target, permit, abandoned: false } },
		4,
		"wrong_state",
	],
] satisfies [string, OwnershipRecord | null, number, string][])(
	"every command is refused for %s, whatever its state",
	(_case, record, epoch, code) => {
		for (const command of commands) {
			for (const state of Object.keys(table) as GuestState[]) {
				expect(ask(command, { record, epoch, state })).toMatchObject({ verdict: "refuse", code });
			}
		}
	},
);

function ask(
	command: LifecycleCommand,
	situation: { record?: OwnershipRecord | null; epoch?: number; state: GuestState },
) {
	return decide(command, { name: "web-1", record: owner, epoch: 4, ...situation });
}
