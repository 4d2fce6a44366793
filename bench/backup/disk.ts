import { createCipheriv } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { KiB, MiB } from "@sterna/shared/units";
import { run } from "../../scripts/system/run.ts";

/** The disk of the comparison: 4 GiB of which 1 GiB is data, half of it random, half of it text. */
export const diskBytes = 4096 * MiB;
export const dataBytes = 1024 * MiB;
export const pieceBytes = 64 * KiB;
/** 5 % of the data. */
export const changedPieces = Math.round((dataBytes / pieceBytes) * 0.05);
/** Odd, so that it visits each of 2^n pieces once: the guest's `scatter` takes the same steps. */
const stride = 9973;

/** Writes the disk as a sparse raw file; the same bytes in every run. */
export async function makeDisk(path: string): Promise<void> {
	const disk = await open(path, "w");
	try {
		await disk.truncate(diskBytes);
		const random = keystream("content");
		const words = Array.from({ length: 4096 }, (_, index) => `${random(3 + (index % 7)).toString("hex")} `);
		for (let at = 0; at < dataBytes; at += MiB) {
			const isText = (at / MiB) % 2 === 1;
			await writeWhole(disk, isText ? text(words, random) : random(MiB), at);
		}
		await disk.sync();
	} finally {
		await disk.close();
	}
}

/** Makes a copy of the disk in which 5 % of the data is new, in scattered pieces of 64 KiB. */
export async function makeChangedDisk(from: string, path: string): Promise<void> {
	await run("cp", ["--sparse=always", "--reflink=auto", from, path]);
	const disk = await open(path, "r+");
	try {
		const random = keystream("changes");
		for (let piece = 0; piece < changedPieces; piece++) {
			await writeWhole(disk, random(pieceBytes), ((piece * stride) % (dataBytes / pieceBytes)) * pieceBytes);
		}
		await disk.sync();
	} finally {
		await disk.close();
	}
}

async function writeWhole(disk: FileHandle, data: Buffer, at: number): Promise<void> {
	for (let done = 0; done < data.length; )
		done += (await disk.write(data, done, data.length - done, at + done)).bytesWritten;
}

/** Words in random order, which zstd makes about three times smaller. */
function text(words: string[], random: (bytes: number) => Buffer): Buffer {
	const indexes = random(2 * 131_072);
	let made = "";
	for (let at = 0; made.length < MiB; at += 2) made += words[indexes.readUInt16LE(at) % words.length];
	return Buffer.from(made.slice(0, MiB), "latin1");
}

/** Bytes that look random and are the same in every run. */
function keystream(seed: string): (bytes: number) => Buffer {
	const cipher = createCipheriv("aes-128-ctr", Buffer.from(seed.padEnd(16)), Buffer.alloc(16));
	return (bytes) => cipher.update(Buffer.alloc(bytes));
}
