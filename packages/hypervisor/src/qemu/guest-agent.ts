import { setTimeout as delay } from "node:timers/promises";
import { SternaError } from "@sterna/shared/errors";
import { AgentLine } from "./agent-line.ts";
import { agentChardev } from "./argv.ts";
import { label, type QemuGuest } from "./guest.ts";

/** What is needed of a guest to speak with its agent. */
type Guest = Pick<QemuGuest, "paths" | "record">;

/** An agent that is there and not busy answers at once; under load, or emulated, not quite. */
const syncMs = 5000;
/** `fsfreeze` waits for the writes under way. Longer than that, and the guest's programs notice. */
const freezeMs = 10_000;
const thawMs = 10_000;
const thawTries = 5;
const betweenThawsMs = 300;

/** Who speaks with a guest's agent now: its line has room for one. */
const turns = new WeakMap<Guest, Promise<unknown>>();

/**
 * Whether a program in the guest has opened the line to its agent: without one nobody would answer. QEMU knows it from the
 * guest's driver, at once, also after a move (QMP reference, `ChardevInfo`, `frontend-open`). Not told: it may have. Pure.
 */
export function isLineOpened(chardevs: readonly { label: string; "frontend-open": boolean }[]): boolean {
	return chardevs.find(({ label }) => label === agentChardev)?.["frontend-open"] ?? true;
}

/** Whether an agent answers within `timeoutMs`; nobody is waited for in a guest that has none. */
export async function isThere(guest: Guest & Pick<QemuGuest, "monitor">, timeoutMs: number): Promise<boolean> {
	const chardevs = await guest.monitor.execute("query-chardev", {}).catch(() => []);
	return isLineOpened(chardevs) && isAlive(guest, timeoutMs);
}

/** Whether the agent answers within `timeoutMs`. */
export async function isAlive(guest: Guest, timeoutMs: number): Promise<boolean> {
	return speak(guest, timeoutMs, (line) => line.execute("guest-ping", timeoutMs)).then(
		() => true,
		() => false,
	);
}

/**
 * Holds the writes of the guest's file systems (qemu-ga-ref, `guest-fsfreeze-freeze`). Whatever becomes of it, `thaw` must
 * be called: an agent that is late may freeze them after this was rejected.
 * @throws {SternaError} `timeout`, `unavailable`, `invalid` for what is no answer, `wrong_state` when the agent refuses.
 */
export async function freeze(guest: Guest): Promise<void> {
	await speak(guest, syncMs, (line) => line.execute("guest-fsfreeze-freeze", freezeMs));
}

/**
 * Lets the file systems go on, and asks until the agent says that they do. Not frozen: no change. Commands are heard in
 * their order, so that a freeze that is still on its way comes before this.
 * @throws {SternaError} `unavailable` when the agent does not say it after several tries.
 */
export async function thaw(guest: Guest): Promise<void> {
	let problem: unknown = null;
	for (let tried = 0; tried < thawTries; tried++) {
		if (tried > 0) await delay(betweenThawsMs);
		try {
			const status = await speak(guest, syncMs, async (line) => {
				// It counts what it thawed: none, when none was frozen, is as good. An error may be of one file system of many.
				await line.execute("guest-fsfreeze-thaw", thawMs).catch((error: unknown) => {
					problem = error;
				});
				return line.execute("guest-fsfreeze-status", syncMs);
			});
			if (status === "thawed") return;
		} catch (error) {
			problem = error;
		}
	}
	throw new SternaError("unavailable", `the agent in ${label(guest)} does not say that its file systems are thawed`, {
		cure: "look at the guest: if its programs stand still, restart qemu-guest-agent in it, or the guest",
		cause: problem,
	});
}

/** Opens the line when its turn has come, makes sure that what is heard is an answer, and speaks. */
function speak<Result>(guest: Guest, timeoutMs: number, talk: (line: AgentLine) => Promise<Result>): Promise<Result> {
	const turn = (turns.get(guest) ?? Promise.resolve()).then(async () => {
		const line = await AgentLine.open(guest.paths.agent, label(guest));
		try {
			await line.sync(timeoutMs);
			return await talk(line);
		} finally {
			line.close();
		}
	});
	turns.set(
		guest,
		turn.catch(() => undefined),
	);
	return turn;
}
