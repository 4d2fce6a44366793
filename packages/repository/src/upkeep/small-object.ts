import { SternaError } from "@sterna/shared/errors";
import type { z } from "zod";
import { parseRecord } from "../format/records.ts";
import type { Opened } from "../opened.ts";

/** A small object as upkeep finds it. `damaged`: it is there and does not open, with the reason. */
export type Found<Value> = { is: "there"; value: Value } | { is: "gone" } | { is: "damaged"; reason: string };

/** Reads a sealed record without giving up on what is damaged or gone. @throws {SternaError} those of the storage. */
export function findRecord<Schema extends z.ZodType>(
	opened: Opened,
	key: string,
	schema: Schema,
): Promise<Found<z.output<Schema>>> {
	return findObject(opened, key, (bytes) => parseRecord(opened.sealing, key, bytes, schema));
}

/** The same for any object; `parse` throws a `SternaError` for what is not as it was written. */
export async function findObject<Value>(
	opened: Opened,
	key: string,
	parse: (bytes: Uint8Array) => Value,
): Promise<Found<Value>> {
	const bytes = await opened.storage.get(key).catch(nullIfGone);
	if (!bytes) return { is: "gone" };
	try {
		return { is: "there", value: parse(bytes) };
	} catch (error) {
		if (error instanceof SternaError) return { is: "damaged", reason: error.message };
		throw error;
	}
}

/** For an object that went between listing and reading: null. Every other error stays one. */
export function nullIfGone(error: unknown): null {
	if (error instanceof SternaError && error.code === "not_found") return null;
	throw error;
}
