import { readFile } from "node:fs/promises";
import { SternaError } from "@sterna/shared/errors";
import { parseJson } from "@sterna/shared/json";
import { z } from "zod";
import { writeDurably } from "../durable-file.ts";
import { CounterState } from "./counters.ts";
import { DampingState } from "./damping.ts";

/** What the sensors remember over a restart of the agent: how far counters had come, what was found, what was read. */
export const SensorState = z.strictObject({
	version: z.literal(1),
	counters: CounterState,
	damping: DampingState,
	kernelLog: z.strictObject({ bootId: z.string().max(100), sequence: z.int().min(-1) }).nullable(),
});
export type SensorState = z.infer<typeof SensorState>;

/** Null when there is none yet. @throws {SternaError} `invalid` when the file is damaged or of another version. */
export async function readSensorState(path: string): Promise<SensorState | null> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
		throw error;
	}
	const parsed = SensorState.safeParse(parseJson(text, { maxLength: 64 * 1024 * 1024, maxDepth: 16 }));
	if (!parsed.success) {
		throw new SternaError("invalid", `what the sensors remembered in ${path} cannot be read`, { cause: parsed.error });
	}
	return parsed.data;
}

export async function writeSensorState(path: string, state: SensorState): Promise<void> {
	await writeDurably(path, JSON.stringify(state));
}
