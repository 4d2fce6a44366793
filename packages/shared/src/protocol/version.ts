import { SternaError } from "../errors.ts";

/** Every version of the protocol between console, agents and local command line, oldest first. Named so that a log says what it means. */
export const protocolVersions = [{ number: 1, name: "first-slice" }] as const;

/** The numbers that this build speaks. */
export const spokenVersions: readonly number[] = protocolVersions.map((version) => version.number);

/**
 * The newest version that both sides speak.
 * @throws {SternaError} `incompatible` with a sentence that names both lists.
 */
export function negotiateVersion(ours: readonly number[], theirs: readonly number[]): number {
	const common = ours.filter((version) => theirs.includes(version));
	if (common.length === 0) {
		throw new SternaError(
			"incompatible",
			`no common protocol version: this side speaks ${ours.join(", ") || "none"}, the other speaks ${theirs.join(", ") || "none"}`,
			{ cure: "upgrade the older of the two" },
		);
	}
	return Math.max(...common);
}
