import { rename } from "node:fs/promises";
import { GuestId, type PointId } from "@sterna/shared/ids";
import { MiB } from "@sterna/shared/units";
import { until } from "../demo/until.ts";
import {
	addTreeGuest,
	type BackupRig,
	backUp,
	openBackupRig,
	treeWords,
	untilState,
	untilWritten,
} from "./backup-rig.ts";

/** How long the repository stays away when the guest does not notice. */
const awayMs = 10_000;

/** What `./sterna bench points` prints. */
export interface PointsResult {
	points: number;
	/** Points whose restored guest booted and found every file of its tree as its checksums say. */
	verified: number;
	treeErrors: number;
	generationsInLast: number;
	wholeReads: number;
	instant: {
		/** Of the data that was still in the repository when it was taken away. */
		takenAwayAt: number[];
		/** Null where the guest needed nothing that was missing while the repository was away. */
		pausedWithinMs: (number | null)[];
		resumedWithinMs: number[];
		/** Generations that the guest said were safe on its disk, and that were not there after its next boot. */
		writesLost: number;
		treeErrors: number;
		bootedAfterMs: number | null;
	};
}

/**
 * Backs a guest up while it writes a checked file tree, once whole and `increments` times by its changes; restores each
 * point to a new guest, boots it and reads its verdict. Then starts the newest point instantly from the repository, and
 * takes the repository away at 10, 50 and 90 % of the filling.
 */
export async function points(increments: number, say: (line: string) => void): Promise<PointsResult> {
	const rig = await openBackupRig({ id: "sp", subnet: 83, port: 3083, serverCount: 1 }, say);
	try {
		const guestId = await addTreeGuest(rig, {
			// Two thirds of the disk are data: parts of the filling are then parts of what the guest needs.
			...{ name: "tree", server: "rack1-01", sizeBytes: 384 * MiB },
			...{ treeKib: 16_384, treeMs: 200 },
		});
		await untilWritten(rig, guestId, 5);
		const taken: PointId[] = [];
		let wholeReads = -1;
		for (let count = 0; count <= increments; count++) {
			const { pointId, wholeReads: whole, uploadedBytes } = await backUp(rig, guestId);
			taken.push(pointId);
			wholeReads += whole.length > 0 ? 1 : 0;
			say(`point ${count} of ${increments}: ${(uploadedBytes / MiB).toFixed(1)} MiB uploaded`);
			await untilWritten(rig, guestId, 1);
		}
		const result: PointsResult = {
			...{ points: taken.length, verified: 0, treeErrors: 0, generationsInLast: 0, wholeReads },
			instant: await instantly(rig, taken.at(-1), say),
		};
		for (const [at, pointId] of taken.entries()) {
			const verdict = await bootRestored(rig, pointId, `point-${at}`);
			if (verdict.errors === 0 && verdict.generation > 0) result.verified++;
			result.treeErrors += verdict.errors;
			result.generationsInLast = verdict.generation;
			say(`point ${at}: generation ${verdict.generation}, ${verdict.files} files, ${verdict.errors} errors`);
		}
		return result;
	} finally {
		await rig.demo.close();
	}
}

export function pointsAreGood({ points: count, verified, wholeReads, instant }: PointsResult): boolean {
	return verified === count && wholeReads === 0 && instant.writesLost === 0 && instant.treeErrors === 0;
}

async function bootRestored(rig: BackupRig, pointId: PointId, name: string) {
	const { api } = rig.demo;
	const { id } = await api.restores.start.mutate({
		...{ pointId, mode: "copy", start: true },
		target: { kind: "new", name, connectNetworks: false },
	});
	let made = await api.restores.get.query({ id });
	await until(`the restore of ${name}`, 300_000, async () => {
		made = await api.restores.get.query({ id });
		if (made.state === "failed") throw new Error(made.errorMessage ?? "the restore failed");
		return made.state === "completed";
	});
	const guestId = made.target.id;
	const verdict = await nextCheck(rig, guestId, 0);
	await throwAway(rig, guestId);
	return verdict;
}

async function instantly(
	rig: BackupRig,
	pointId: PointId | undefined,
	say: (line: string) => void,
): Promise<PointsResult["instant"]> {
	if (!pointId) throw new Error("there is no point to start from");
	const { api } = rig.demo;
	const figures: PointsResult["instant"] = {
		...{ takenAwayAt: [], pausedWithinMs: [], resumedWithinMs: [] },
		...{ writesLost: 0, treeErrors: 0, bootedAfterMs: null },
	};
	const { id } = await api.restores.start.mutate({
		...{ pointId, mode: "instant", start: true },
		target: { kind: "new", name: "instant", connectNetworks: false },
	});
	const away = `${rig.repositoryFolder}.away`;
	for (const wanted of [0.1, 0.5, 0.9]) {
		let view = await api.restores.get.query({ id });
		await until(`${wanted * 100} % of the filling`, 600_000, async () => {
			view = await api.restores.get.query({ id });
			if (view.state === "failed") throw new Error(view.errorMessage ?? "the restore failed");
			return view.progress >= wanted || view.state === "completed";
		});
		if (view.state === "completed") break;
		const guestId = view.target.id;
		figures.takenAwayAt.push(view.progress);
		const takenAt = performance.now();
		await rename(rig.repositoryFolder, away);
		try {
			const paused = await untilState(rig, guestId, "paused", awayMs).then(
				() => Math.round(performance.now() - takenAt),
				() => null,
			);
			figures.pausedWithinMs.push(paused);
		} finally {
			await rename(away, rig.repositoryFolder);
		}
		const backAt = performance.now();
		await untilState(rig, guestId, "running");
		figures.resumedWithinMs.push(Math.round(performance.now() - backAt));
		say(`repository away at ${Math.round(view.progress * 100)} %: paused and resumed`);
	}
	let view = await api.restores.get.query({ id });
	await until("the filling to end", 600_000, async () => {
		view = await api.restores.get.query({ id });
		if (view.state === "failed") throw new Error(view.errorMessage ?? "the restore failed");
		return view.state === "completed";
	});
	figures.bootedAfterMs = view.bootedAfterMs;
	const guestId = view.target.id;
	const first = await nextCheck(rig, guestId, 0);
	await untilWritten(rig, guestId, 3);
	const { written } = await treeWords(rig, guestId);
	await api.guests.powerOff.mutate({ guestId });
	await untilState(rig, guestId, "stopped");
	await api.guests.start.mutate({ guestId });
	const second = await nextCheck(rig, guestId, 1);
	figures.writesLost = Math.max(0, written - second.generation);
	figures.treeErrors = first.errors + second.errors;
	await throwAway(rig, guestId);
	return figures;
}

/** What the guest found at the boot that follows `before` others. */
async function nextCheck(rig: BackupRig, guestId: string, before: number) {
	await until(`guest ${guestId} to check its tree`, 180_000, async () => {
		return (await treeWords(rig, guestId)).checks.length > before;
	});
	const check = (await treeWords(rig, guestId)).checks[before];
	if (!check) throw new Error("the guest's check is gone");
	return check;
}

async function throwAway({ demo }: BackupRig, id: string): Promise<void> {
	const guestId = GuestId.parse(id);
	await demo.api.guests.powerOff.mutate({ guestId });
	await until(`guest ${id} to be off`, 60_000, async () => {
		return (await demo.api.guests.get.query({ guestId })).state === "stopped";
	});
	await demo.api.guests.delete.mutate({ guestId });
}
