import type { Severity } from "@sterna/shared/health";
import type { Change, Increases } from "./counters.ts";
import type { SensorRoot } from "./root.ts";
import { count, type Judgement, keyPart, minuteMs, type Sensor, type Symptom, symptom } from "./sensor.ts";

export interface NicReading {
	name: string;
	link: "up" | "down" | "gone" | "unknown";
	carrierChanges: number | null;
	crcErrors: number | null;
	/** Members of a bond and how many of them are up; null when the NIC is no bond. */
	bond: { members: string[]; up: number } | null;
}

const changesWindowMs = 10 * minuteMs;
const watchChanges = 4;
const degradedChanges = 10;
const crcPerMinute = 10;

/** The NICs on which guests, moves or storage depend. */
export function createNetworkSensor(root: SensorRoot, nics: readonly string[]): Sensor {
	return {
		kind: "network",
		async read() {
			const readings = await readNics(root, nics);
			return {
				changes: (readings ?? []).flatMap(nicChanges),
				judge: (increases) => judgeNics(readings, increases),
			};
		},
	};
}

/** Null when network devices cannot be seen at all. */
export async function readNics(root: SensorRoot, nics: readonly string[]): Promise<NicReading[] | null> {
	const present = await root.list("/sys/class/net");
	if (present === null) return null;
	return Promise.all(nics.map((name) => readNic(root, name, present.includes(name))));
}

async function readNic(root: SensorRoot, name: string, present: boolean): Promise<NicReading> {
	const path = `/sys/class/net/${name}`;
	const [state, carrier, changes, crc, slaves] = await Promise.all([
		root.readText(`${path}/operstate`),
		root.readText(`${path}/carrier`),
		root.readText(`${path}/carrier_changes`),
		root.readText(`${path}/statistics/rx_crc_errors`),
		root.readText(`${path}/bonding/slaves`),
	]);
	const members = slaves?.split(/\s+/).filter((member) => /^[\w.@-]{1,15}$/.test(member)) ?? [];
	const states = await Promise.all(members.map((member) => root.readText(`/sys/class/net/${member}/operstate`)));
	return {
		name,
		link: present ? linkOf(state?.trim(), count(carrier)) : "gone",
		carrierChanges: count(changes),
		crcErrors: count(crc),
		bond: slaves === null ? null : { members, up: states.filter((one) => one?.trim() === "up").length },
	};
}

/** `carrier` cannot be read while the NIC is switched off; bridges and taps say `unknown` where they are up. */
function linkOf(state: string | undefined, carrier: number | null): NicReading["link"] {
	if (carrier !== null) return carrier === 0 ? "down" : "up";
	if (state === "down" || state === "lowerlayerdown" || state === "notpresent") return "down";
	return state === "up" ? "up" : "unknown";
}

export function nicChanges({ name, carrierChanges, crcErrors }: NicReading): Change[] {
	return [
		...(carrierChanges === null ? [] : [{ counter: key(name, "carrierChanges"), total: carrierChanges }]),
		...(crcErrors === null ? [] : [{ counter: key(name, "crcErrors"), total: crcErrors }]),
	];
}

export function judgeNics(nics: readonly NicReading[] | null, increases: Increases): Judgement {
	if (nics === null) {
		return { symptoms: [], unseen: [{ keyPrefix: "network/", reason: "the NICs of this server cannot be listed" }] };
	}
	return {
		symptoms: nics.flatMap((nic) => judgeNic(nic, increases)),
		unseen: nics
			.filter(({ link }) => link === "unknown")
			.map(({ name }) => ({ keyPrefix: key(name, "link"), reason: `the link of ${name} cannot be read` })),
	};
}

function judgeNic(nic: NicReading, increases: Increases): Symptom[] {
	const { name, link, bond } = nic;
	const symptoms: Symptom[] = [];
	const breach = (
		signal: string,
		severity: Severity,
		reading: { value: number; threshold: number; unit: string; rule: string; raw: string; windowMs?: number },
	) => symptoms.push(symptom({ ...reading, key: key(name, signal), component: name, signal, severity }));
	if (link === "down" || link === "gone") {
		const raw = link === "gone" ? `/sys/class/net has no ${name}` : `/sys/class/net/${name}/carrier: 0`;
		const rule = "a NIC that guests or moves depend on has no link";
		breach("linkDown", "failing", { value: 1, threshold: 1, unit: "verdict", rule, raw });
	}
	const changes = Math.floor(increases.within(key(name, "carrierChanges"), changesWindowMs));
	if (changes >= watchChanges) {
		const threshold = changes >= degradedChanges ? degradedChanges : watchChanges;
		breach("carrierChanges", threshold === degradedChanges ? "degraded" : "watch", {
			value: changes,
			threshold,
			unit: "changes",
			windowMs: changesWindowMs,
			rule: `the link came and went at least ${threshold} times in 10 min`,
			raw: `/sys/class/net/${name}/carrier_changes: ${nic.carrierChanges}, ${changes} of them in 10 min`,
		});
	}
	const crc = Math.floor(increases.within(key(name, "crcErrors"), minuteMs));
	if (crc > crcPerMinute) {
		breach("crcErrors", "degraded", {
			value: crc,
			threshold: crcPerMinute,
			unit: "errors",
			windowMs: minuteMs,
			rule: `more than ${crcPerMinute} frames with a wrong checksum in a minute`,
			raw: `/sys/class/net/${name}/statistics/rx_crc_errors: ${nic.crcErrors}, ${crc} of them in the last minute`,
		});
	}
	if (bond && bond.members.length > 1 && bond.up === 1) {
		const raw = `/sys/class/net/${name}/bonding/slaves: ${bond.members.join(" ")}, one of them up`;
		const rule = "one member of the bond is left";
		breach("bondAtLastMember", "degraded", { value: 1, threshold: 1, unit: "members", rule, raw });
	}
	return symptoms;
}

function key(name: string, signal: string): string {
	return `network/${keyPart(name)}/${signal}`;
}
