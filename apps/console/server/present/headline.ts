import type { Finding } from "@sterna/shared/health";
import { formatDuration } from "@sterna/shared/units";
import type { Headline } from "../views-overview.ts";

/** What the first sentence of the console is made of. */
export interface Situation {
	now: number;
	hosts: readonly {
		id: string;
		name: string;
		health: "healthy" | "watch" | "degraded" | "failing" | "unknown";
		connection: "online" | "offline" | "revoked";
		mode: "normal" | "evacuating" | "maintenance";
		quarantined: boolean;
		worst: Finding | null;
		/** What the policy did about the worst. */
		action: string | null;
		/** Guests that the console expects to run there. */
		guestsRunning: number;
	}[];
	/** The evacuation that matters most, if any is under way or has just emptied a failing host. */
	evacuation: {
		id: string;
		hostName: string;
		moved: number;
		total: number;
		blocked: number;
		remainingMs: number | null;
		startedAt: number;
		running: boolean;
	} | null;
	guests: { running: number; total: number; unknown: number; crashed: readonly string[] };
	migrationsRunning: number;
	backups: {
		/** Repositories with damage, by name. */
		damaged: readonly { id: string; name: string }[];
		/** Guests whose newest whole point is older than their job allows, or damaged. */
		behind: readonly string[];
	};
}

/**
 * Is anything wrong, what is being done, when does it end: one sentence and one lead, from the worst there is.
 * Pure, so that its wording is tested.
 */
export function headlineOf(situation: Situation): Headline {
	return (
		failing(situation) ??
		lost(situation) ??
		degraded(situation) ??
		unsaved(situation) ??
		watched(situation) ??
		calm(situation)
	);
}

function failing({ hosts, evacuation }: Situation): Headline | null {
	const ill = hosts.filter((host) => host.health === "failing" && host.connection !== "revoked");
	const [first] = ill;
	if (!first?.worst) return null;
	const who = ill.length === 1 ? "One host is failing." : `${count(ill.length, "host")} are failing.`;
	const lead = `${first.name}: ${first.worst.component}, ${first.worst.rule} (${first.worst.value} ${first.worst.unit}).`;
	if (evacuation) {
		return {
			tone: "failing",
			sentence: `${who} ${leaving(evacuation)}`,
			lead: `${lead} ${evacuation.running ? "The evacuation is running." : "It is kept out of service until you release it."}`,
			link: {
				label: evacuation.running ? "Watch the evacuation" : "Evacuation",
				href: `/evacuations/${evacuation.id}`,
			},
		};
	}
	const left = ill.reduce((sum, host) => sum + host.guestsRunning, 0);
	const sentence =
		left === 0
			? `${who} No guest runs on it.`
			: `${who} ${count(left, "guest")} still ${left === 1 ? "runs" : "run"} there.`;
	return {
		tone: "failing",
		sentence,
		lead: `${lead} ${first.action ?? "Nothing was decided yet."}`,
		link: { label: "Evidence", href: `/hosts/${first.id}` },
	};
}

function leaving(evacuation: NonNullable<Situation["evacuation"]>): string {
	const { moved, total, blocked, remainingMs, running } = evacuation;
	if (total === 0) return "No guest ran on it.";
	if (!running) {
		return blocked === 0
			? `${all(total)} left it without a restart.`
			: `${moved} of its ${total} guests left; ${blocked} could not.`;
	}
	const when = remainingMs === null ? "" : `; the last leaves in about ${formatDuration(remainingMs)}`;
	return moved === 0
		? `Its ${count(total, "guest")} ${total === 1 ? "is" : "are"} leaving${when}.`
		: `${moved} of its ${count(total, "guest")} have left${when}.`;
}

function lost({ hosts, guests }: Situation): Headline | null {
	const gone = hosts.filter((host) => host.connection === "offline");
	const copied = hosts.find((host) => host.quarantined && host.connection !== "revoked");
	if (copied) {
		return {
			tone: "failing",
			sentence: `${copied.name} is kept out: two servers use its identity.`,
			lead: "Neither is let in until the copy is found.",
			link: { label: "Look at it", href: `/hosts/${copied.id}` },
		};
	}
	const [first] = gone;
	if (first) {
		const who = gone.length === 1 ? `${first.name} is not heard.` : `${count(gone.length, "host")} are not heard.`;
		const unknown =
			guests.unknown === 0
				? "No guest is there."
				: `What ${guests.unknown === 1 ? "its guest does" : `the ${guests.unknown} guests there do`} is not known.`;
		return {
			tone: "degraded",
			sentence: `${who} ${unknown}`,
			lead: "If the server is up, guests run on without the console. They are not started elsewhere: nobody has proved that they stopped.",
			link: { label: first.name, href: `/hosts/${first.id}` },
		};
	}
	const [crashed] = guests.crashed;
	if (!crashed) return null;
	const sentence =
		guests.crashed.length === 1 ? `${crashed} has crashed.` : `${count(guests.crashed.length, "guest")} have crashed.`;
	return { tone: "degraded", sentence, lead: null, link: { label: "Guests", href: "/guests?state=crashed" } };
}

function degraded({ hosts }: Situation): Headline | null {
	const ill = hosts.filter((host) => host.health === "degraded");
	const [first] = ill;
	if (!first?.worst) return null;
	return {
		tone: "degraded",
		sentence: `${ill.length === 1 ? `${first.name} is degraded` : `${count(ill.length, "host")} are degraded`} and ${ill.length === 1 ? "takes" : "take"} no new guests.`,
		lead: `${first.worst.component}: ${first.worst.rule} (${first.worst.value} ${first.worst.unit}).`,
		link: { label: "Evidence", href: `/hosts/${first.id}` },
	};
}

function unsaved({ backups: { damaged, behind } }: Situation): Headline | null {
	const [repository] = damaged;
	if (repository) {
		return {
			tone: "failing",
			sentence:
				damaged.length === 1
					? `The repository ${repository.name} is damaged.`
					: `${damaged.length} repositories are damaged.`,
			lead: "A scrub found that not all of it is as it was written. Guests are not touched by that; their next backup writes again what is missing.",
			link: { label: "Damage", href: `/backups/repositories/${repository.id}` },
		};
	}
	const [guest] = behind;
	if (!guest) return null;
	return {
		tone: "degraded",
		sentence:
			behind.length === 1
				? `The backup of ${guest} is late.`
				: `The backups of ${count(behind.length, "guest")} are late.`,
		lead: null,
		link: { label: "Protection", href: "/backups?state=late" },
	};
}

function watched({ hosts }: Situation): Headline | null {
	const seen = hosts.filter((host) => host.health === "watch");
	const [first] = seen;
	if (!first?.worst) return null;
	return {
		tone: "watch",
		sentence: `Nothing is wrong. ${seen.length === 1 ? `${first.name} is` : `${count(seen.length, "host")} are`} being watched.`,
		lead: `${first.worst.component}: ${first.worst.rule} (${first.worst.value} ${first.worst.unit}).`,
		link: { label: "Health", href: "/health" },
	};
}

function calm({ hosts, guests, evacuation, migrationsRunning }: Situation): Headline {
	if (hosts.length === 0) {
		return {
			tone: "calm",
			sentence: "No server has joined yet.",
			lead: "Join one: it takes one line on that server.",
			link: { label: "Join a server", href: "/hosts" },
		};
	}
	const moving =
		migrationsRunning === 0
			? ""
			: ` ${count(migrationsRunning, "guest")} ${migrationsRunning === 1 ? "is" : "are"} moving.`;
	if (evacuation?.running) {
		return {
			tone: "calm",
			sentence: `Nothing is wrong. ${evacuation.hostName} is being emptied: ${evacuation.moved} of ${evacuation.total}.`,
			lead: null,
			link: { label: "Watch the evacuation", href: `/evacuations/${evacuation.id}` },
		};
	}
	const run =
		guests.running === guests.total
			? guests.total === 0
				? "no guests yet"
				: guests.total === 1
					? "the guest runs"
					: `all ${guests.total} guests run`
			: `${guests.running} of ${count(guests.total, "guest")} run`;
	return {
		tone: "calm",
		sentence: `Nothing is wrong: ${count(hosts.length, "host")}, ${run}.${moving}`,
		lead: null,
		link: null,
	};
}

function all(total: number): string {
	return total === 1 ? "Its guest" : `All ${total} guests`;
}

function count(amount: number, noun: string): string {
	return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}
