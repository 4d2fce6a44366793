import { GuestId, newId } from "@sterna/shared/ids";
import { expect, test } from "vitest";
import { confinedCommand, uidOf } from "./confinement.ts";

test("a guest has the same user on every host, another one than other guests, never one of the system's", () => {
	const ids = Array.from({ length: 500 }, () => newId(GuestId));
	const uids = ids.map(uidOf);
	expect(ids.map(uidOf)).toEqual(uids);
	expect(new Set(uids).size).toBe(ids.length);
	for (const uid of uids) {
		expect(uid).toBeGreaterThan(0x6fffffff);
		expect(uid).toBeLessThan(0x78000000);
	}
});

test("as root QEMU is started as the guest's user, without groups, capabilities or a way to new rights", () => {
	const command = confinedCommand(["qemu-system-x86_64", "-name", "x"], { uid: 1_900_000_000, kvmGroup: null });
	expect(command.slice(0, 7)).toEqual([
		"setpriv",
		"--reuid=1900000000",
		"--regid=1900000000",
		"--clear-groups",
		"--no-new-privs",
		"--bounding-set=-all",
		"--inh-caps=-all",
	]);
	expect(command.slice(-3)).toEqual(["qemu-system-x86_64", "-name", "x"]);
});

test("with KVM the guest's user is in the group that may open it, and in no other", () => {
	expect(confinedCommand(["q"], { uid: 1_900_000_000, kvmGroup: 104 })).toContain("--groups=104");
});
