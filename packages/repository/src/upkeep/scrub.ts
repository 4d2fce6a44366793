import type { RepositoryDamage } from "@sterna/shared/backup";
import { SternaError } from "@sterna/shared/errors";
import { type PackId, packIdOfKey, packKey } from "../format/pack-id.ts";
import { packIdUnder, packsPrefix, putRecord, suspectKey, suspectPrefix } from "../format/records.ts";
import type { Opened } from "../opened.ts";
import type { UpkeepOptions } from "../repository.ts";
import { Findings } from "./findings.ts";
import { examinePack, type PackHealth } from "./pack-health.ts";
import { isKeyReplaced } from "./replace-key.ts";
import { scrubPoints } from "./scrub-points.ts";
import { scrubRecords } from "./scrub-records.ts";

/**
 * Reads and checks every object, beside all that goes on. Every damaged block is noted as suspect, so that no session refers
 * to it again and the next backup of the disk writes it anew; lost witnesses are written again.
 *
 * Not missed: packs that nothing needs, the object of a live session (its writer looks itself before it commits), and the mark
 * of a pruned point between its two writes.
 * @throws {SternaError} `cancelled`; `forbidden` when the key was replaced meanwhile, and nothing is noted; those of the storage: a repository out of reach is not damaged.
 */
export async function scrub(opened: Opened, options: UpkeepOptions): Promise<{ damages: RepositoryDamage[] }> {
	const findings = new Findings();
	const { lacked } = opened.sealing;
	const packs = await scrubPacks(opened, findings, options);
	// Before lost witnesses are written again.
	await checkKey(opened, lacked);
	await scrubRecords(opened, findings);
	const lost = await scrubPoints(opened, { packs, findings, options });
	// Before anything is called damaged.
	await checkKey(opened, lacked);
	await noteSuspects(opened, packs, lost);
	return { damages: findings.damages() };
}

async function checkKey(opened: Opened, lacked: number): Promise<void> {
	if (!(await isKeyReplaced(opened, lacked))) return;
	throw new SternaError("forbidden", "the key of the repository was replaced while it was scrubbed", {
		cure: "scrub it again with its present key",
	});
}

async function scrubPacks(
	opened: Opened,
	findings: Findings,
	options: UpkeepOptions,
): Promise<Map<PackId, PackHealth>> {
	const listed: { packId: PackId; sizeBytes: number }[] = [];
	for await (const { key, sizeBytes } of opened.storage.list(packsPrefix)) {
		const packId = packIdOfKey(key);
		if (packId) listed.push({ packId, sizeBytes });
	}
	const totalBytes = listed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
	let doneBytes = 0;
	const packs = new Map<PackId, PackHealth>();
	for (const { packId, sizeBytes } of listed) {
		options.signal.throwIfAborted();
		const health = await examinePack(opened, packId);
		if (health) packs.set(packId, health);
		if (health?.text) findings.add(packKey(packId), health.text);
		doneBytes += sizeBytes;
		options.onProgress?.({ totalBytes, doneBytes });
	}
	return packs;
}

/** Writes the notes as things stand now; one whose pack is whole again goes. */
async function noteSuspects(
	opened: Opened,
	packs: ReadonlyMap<PackId, PackHealth>,
	lost: ReadonlyMap<PackId, Set<string>>,
): Promise<void> {
	const suspects = new Map([...lost].map(([packId, hashes]) => [packId, new Set(hashes)]));
	for (const [packId, { damaged }] of packs) {
		if (damaged.length === 0) continue;
		const hashes = suspects.get(packId) ?? new Set();
		for (const hash of damaged) hashes.add(Buffer.from(hash).toString("hex"));
		suspects.set(packId, hashes);
	}
	for (const [packId, hashes] of suspects) await putRecord(opened, suspectKey(packId), { hashes: [...hashes] });
	const noted: PackId[] = [];
	for await (const { key } of opened.storage.list(suspectPrefix)) {
		const packId = packIdUnder(suspectPrefix, key);
		if (packId) noted.push(packId);
	}
	for (const packId of noted) {
		if (!suspects.has(packId)) await opened.storage.remove(suspectKey(packId));
	}
}
