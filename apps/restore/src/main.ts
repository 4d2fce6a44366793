#!/usr/bin/env node
import { identifyRepository, openRepository } from "@sterna/repository/open";
import type { Repository } from "@sterna/repository/repository";
import { asSternaError } from "@sterna/shared/errors";
import { PointId, VolumeId } from "@sterna/shared/ids";
import { formatBytes } from "@sterna/shared/units";
import { Command, Option } from "commander";
import { readKey } from "./key.ts";
import { openPlace } from "./place.ts";
import { restoreVolumes } from "./restore.ts";
import { describePoint, pointLines } from "./text.ts";
import { verifyPoints } from "./verify.ts";

interface Place {
	place: string;
	keyFile?: string;
	json?: true;
}

const cli = new Command("sterna-restore")
	.description("Brings disks back from a backup repository of Sterna. Needs the repository and its key, nothing else.")
	.version("0.1.0", "-V, --version", "print the version")
	.showHelpAfterError()
	.addHelpText(
		"after",
		`
The repository is a folder, or s3://bucket/prefix/ with AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY in the environment. The key (sterna-key-1-…) is read from --key-file, or from STERNA_REPOSITORY_KEY in
the environment; it is never given on the command line, where others could see it.

  sterna-restore points  --place /mnt/backups --key-file key.txt
  sterna-restore verify  --place /mnt/backups --key-file key.txt
  sterna-restore restore --place /mnt/backups --key-file key.txt --point <id> --to disks/
  sterna-restore key     --place /mnt/backups --key-file key.txt`,
	);

function command(name: string, description: string): Command {
	return cli
		.command(name)
		.description(description)
		.requiredOption("--place <place>", "folder of the repository, or s3://bucket/prefix/")
		.option("--key-file <file>", "file that holds the repository's key")
		.option("--json", "print JSON");
}

command("points", "list the recovery points, newest first").action((place: Place) =>
	withRepository(place, async (repository) => {
		const { points, unreadable } = await repository.points();
		points.sort((a, b) => b.takenAt - a.takenAt);
		for (const { reason } of unreadable) warn(reason);
		tell(place, { points: points.map(describePoint), unreadable }, () => pointLines(points));
		if (unreadable.length > 0) process.exitCode = 1;
	}),
);

command("verify", "read points wholly and check every byte; without --point, the newest of each guest")
	.option("--point <id...>", "recovery points to read")
	.option("--all", "every recovery point")
	.action((place: Place & { point?: string[]; all?: true }) =>
		withRepository(place, async (repository) => {
			const wanted = place.point?.map((id) => PointId.parse(id)) ?? (place.all ? "all" : "newest");
			const result = await verifyPoints(repository, wanted, progress(place));
			tell(place, result, () =>
				result.points.map(({ pointId, guestName, readBytes, damage }) =>
					damage
						? `damaged  ${pointId}  ${guestName}: ${damage}`
						: `good     ${pointId}  ${guestName}  ${formatBytes(readBytes)}`,
				),
			);
			if (result.points.some(({ damage }) => damage !== null)) process.exitCode = 1;
		}),
	);

command("restore", "write the disks of one point into files; every byte is checked against its keyed hash")
	.requiredOption("--point <id>", "recovery point")
	.requiredOption("--to <folder>", "existing folder for the files; none is written over")
	.option("--volume <id...>", "only these disks")
	.addOption(
		new Option("--format <format>", "raw files are sparse; qcow2 needs qemu-img")
			.choices(["raw", "qcow2"])
			.default("raw"),
	)
	.action((options: Place & { point: string; to: string; volume?: string[]; format: "raw" | "qcow2" }) =>
		withRepository(options, async (repository) => {
			const files = await restoreVolumes(repository, {
				pointId: PointId.parse(options.point),
				folder: options.to,
				volumeIds: options.volume?.map((id) => VolumeId.parse(id)) ?? null,
				format: options.format,
				onProgress: progress(options),
			});
			tell(options, { files }, () => files.map(({ path, sizeBytes }) => `restored ${path}  ${formatBytes(sizeBytes)}`));
		}),
	);

command("key", "tell whether the key opens the repository").action((place: Place) =>
	withRepository(place, async (repository) => {
		const { repositoryId } = repository;
		tell(place, { repositoryId, opens: true }, () => [`The key opens repository ${repositoryId}.`]);
	}),
);

async function withRepository(place: Place, use: (repository: Repository) => Promise<void>): Promise<void> {
	const key = await readKey(place.keyFile, process.env);
	const storage = await openPlace(place.place, process.env);
	const repository = await openRepository(storage, { repositoryId: await identifyRepository(storage), key });
	try {
		await use(repository);
	} finally {
		await repository.close();
	}
}

function tell(place: Place, value: object, lines: () => string[]): void {
	process.stdout.write(place.json ? `${JSON.stringify(value)}\n` : `${lines().join("\n")}\n`);
}

function warn(text: string): void {
	process.stderr.write(`sterna-restore: ${text}\n`);
}

/** One line that counts up, for a person at a terminal. */
function progress(place: Place): (doneBytes: number, totalBytes: number) => void {
	if (place.json || !process.stderr.isTTY) return () => {};
	return (doneBytes, totalBytes) =>
		process.stderr.write(`\r${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}   `);
}

try {
	await cli.parseAsync();
} catch (thrown) {
	const error = asSternaError(thrown);
	if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: error.toWire() })}\n`);
	process.stderr.write(`sterna-restore: ${error.message}\n${error.cure ? `  ${error.cure}\n` : ""}`);
	if (error.code === "internal") process.stderr.write(`${thrown instanceof Error ? thrown.stack : String(thrown)}\n`);
	process.exitCode = 1;
}
