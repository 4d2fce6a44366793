import { GuestSpec } from "@sterna/shared/guest";
import { GuestId, newId, VolumeId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { QmpEvent } from "../qmp/generated/schema.ts";
import { translate } from "./events.ts";

const id = newId(GuestId);
const volumeId = newId(VolumeId);
const volume = { id: volumeId, pool: "local", sizeBytes: 1024 * 1024 };
const spec = GuestSpec.parse({
	id,
	name: "web-1",
	vcpus: 1,
	memoryBytes: 64 * 1024 * 1024,
	boot: { from: "disk" },
	volumes: [volume],
	nics: [],
});
const guest = {
	id,
	record: {
		spec,
		machine: "pc-q35-10.0",
		accelerator: "tcg" as const,
		uid: null,
		volumes: [{ volumeId, path: "/srv/volume", port: null, moves: 0 }],
		taps: [],
		moving: null,
		sources: [],
		incoming: false,
		ending: null,
	},
};

function read(event: string, data?: object) {
	return translate(guest, QmpEvent.parse({ event, timestamp: { seconds: 1, microseconds: 2 }, data }));
}

const ioError = {
	"qom-path": "/machine/peripheral/vd0",
	operation: "write",
	reason: "No space left on device\u001b[2J",
};

test.each([
	["the guest turns itself off", "SHUTDOWN", { guest: true, reason: "guest-shutdown" }, { type: "poweredOff" }],
	["the host ends QEMU", "SHUTDOWN", { guest: false, reason: "host-qmp-quit" }, null],
	["the guest restarts itself", "RESET", { guest: true, reason: "guest-reset" }, { type: "rebooted" }],
	["the host resets a target before it is filled", "RESET", { guest: false, reason: "none" }, null],
	[
		"a volume fails",
		"BLOCK_IO_ERROR",
		{ ...ioError, "node-name": "disk0" },
		{ type: "diskError", volumeId, operation: "write" },
	],
	[
		"a volume's file fails",
		"BLOCK_IO_ERROR",
		{ ...ioError, "node-name": "disk0-file" },
		{ type: "diskError", volumeId },
	],
	["a migration's copy fails", "BLOCK_IO_ERROR", { ...ioError, "node-name": "mirror0" }, null],
	["a disk fails that the guest does not have", "BLOCK_IO_ERROR", { ...ioError, "node-name": "disk7" }, null],
] as const)("%s", (_what, name, data, expected) => {
	const event = read(name, data);
	if (expected === null) expect(event).toBeNull();
	else expect(event).toMatchObject({ guestId: id, ...expected });
});

test("what a failing disk says is made safe to show", () => {
	const event = read("BLOCK_IO_ERROR", { ...ioError, "node-name": "disk0" });
	expect(event).toMatchObject({ text: "No space left on device\ufffd[2J" });
});
