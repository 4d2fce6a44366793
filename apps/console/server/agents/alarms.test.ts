import { HostId, newId } from "@sterna/shared/ids";
import { pino } from "pino";
import { expect, test } from "vitest";
import type { NewEvent } from "../events/log.ts";
import { quietAlarms } from "./alarms.ts";

const clock = { now: 1_000_000 };
const written: string[] = [];
const events = { append: async ({ sentence }: NewEvent) => void written.push(sentence) };
const alarms = quietAlarms(events, pino({ level: "silent" }), () => clock.now);
const alarm = (sentence: string) => ({ kind: "host.misbehaved", actor: "console", objects: [], sentence });

test("a host that claims something else each time does not fill the log, nor silence the alarms of another", async () => {
	const [noisy, other] = [newId(HostId), newId(HostId)];
	for (let claim = 0; claim < 1000; claim++) await alarms.raise(noisy, `guest ${claim}`, alarm(`noisy ${claim}`));
	await alarms.raise(other, "guest", alarm("other"));
	await alarms.raise(other, "guest", alarm("other again"));
	expect(written).toHaveLength(21);
	expect(written.at(-1)).toBe("other");
	clock.now += 10 * 60_000;
	await alarms.raise(noisy, "guest 1", alarm("noisy later"));
	expect(written.at(-1)).toBe("noisy later");
});
