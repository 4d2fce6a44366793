import { createHash } from "node:crypto";
import { chown, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { SternaError } from "@sterna/shared/errors";
import type { GuestId } from "@sterna/shared/ids";

/** Ids between those that systemd gives to containers and those that it gives to nobody (systemd.io/UIDS-GIDS). */
const firstUid = 0x70000000;
const uidCount = 0x07ffffff;

/**
 * The unprivileged user and group of a guest's QEMU. It follows from the guest's id, so that it is the same on every
 * host and a volume on shared storage never changes hands in a move.
 */
export function uidOf(guestId: GuestId): number {
	return firstUid + (createHash("sha256").update(guestId).digest().readUInt32BE() % uidCount);
}

/** How QEMU is kept away from the rest of the machine; `uid` is null when the driver itself is no root. */
export interface Confinement {
	uid: number | null;
	/** Group that may open /dev/kvm, when that is needed and one is. */
	kvmGroup: number | null;
}

export async function confine(guestId: GuestId, usesKvm: boolean): Promise<Confinement> {
	if (process.getuid?.() !== 0) return { uid: null, kvmGroup: null };
	const group = usesKvm ? (await stat("/dev/kvm")).gid : 0;
	return { uid: uidOf(guestId), kvmGroup: group === 0 ? null : group };
}

/** The command that runs `argv` confined: never more rights than at its start, files that it makes only for itself. */
export function confinedCommand(argv: readonly string[], { uid, kvmGroup }: Confinement): string[] {
	const umask = ["/bin/sh", "-c", 'umask 177; exec "$@"', "sh", ...argv];
	if (uid === null) return umask;
	const groups = kvmGroup === null ? "--clear-groups" : `--groups=${kvmGroup}`;
	return [
		"setpriv",
		`--reuid=${uid}`,
		`--regid=${uid}`,
		groups,
		"--no-new-privs",
		"--bounding-set=-all",
		"--inh-caps=-all",
		...umask,
	];
}

/** Gives a file to the guest's user; without root it is ours and QEMU's already. */
export async function giveTo(uid: number | null, path: string): Promise<void> {
	if (uid !== null) await chown(path, uid, uid);
}

/**
 * Makes sure that the guest's user gets to `path`, before QEMU says it in fewer words.
 * @throws {SternaError} `forbidden`, naming the folder that is closed.
 */
export async function checkReachable(uid: number | null, path: string): Promise<void> {
	if (uid === null) return;
	for (let folder = dirname(path); folder !== "/"; folder = dirname(folder)) {
		const { mode, uid: owner } = await stat(folder);
		const mayEnter = owner === uid ? (mode & 0o100) !== 0 : (mode & 0o001) !== 0;
		if (mayEnter) continue;
		throw new SternaError(
			"forbidden",
			`guests run as users of their own and cannot pass the folder ${folder} to ${path}`,
			{
				cure: `chmod o+x ${folder}, or keep the data elsewhere`,
			},
		);
	}
}
