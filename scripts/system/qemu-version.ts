/** A QEMU release as numbers. */
export type QemuVersion = { major: number; minor: number; micro: number };

/** Before this release QEMU without KVM loses guest memory writes during live migration. */
export const oldestSafeQemu: QemuVersion = { major: 9, minor: 0, micro: 0 };

/**
 * Reads the release out of what `qemu-… --version` prints ("QEMU emulator version 10.0.2 (Debian …)") or out of a
 * Debian package version ("1:10.0.2+ds-2"). Undefined when there is none in it.
 */
export function parseQemuVersion(text: string): QemuVersion | undefined {
	const match = /(?:version |^\d+:|^)(\d+)\.(\d+)(?:\.(\d+))?/.exec(text.trim());
	if (!match) return undefined;
	return { major: Number(match[1]), minor: Number(match[2]), micro: Number(match[3] ?? 0) };
}

/** Negative when `a` is older than `b`, 0 when equal, positive when newer. */
export function compareQemuVersions(a: QemuVersion, b: QemuVersion): number {
	return a.major - b.major || a.minor - b.minor || a.micro - b.micro;
}

/** True when guests survive live migration on this release whatever accelerates them. */
export function isSafeQemu(version: QemuVersion | undefined): version is QemuVersion {
	return version !== undefined && compareQemuVersions(version, oldestSafeQemu) >= 0;
}

/** "10.0.2" */
export function formatQemuVersion(version: QemuVersion): string {
	return `${version.major}.${version.minor}.${version.micro}`;
}
