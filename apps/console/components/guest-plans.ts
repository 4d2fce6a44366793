import type { PowerAction } from "../server/routers/guests.ts";
import type { Plan } from "./plan-dialog.tsx";

/** What an action that needs nothing but the guests will do to them. */
export function planOfPower(action: PowerAction, names: readonly string[]): Plan {
	const who = listOf(names);
	const one = names.length === 1;
	const it = one ? "it" : "them";
	switch (action) {
		case "start":
			return { steps: [`${who} ${one ? "boots on its host" : "boot on their hosts"}.`], undo: `shut ${it} down.` };
		case "shutDown":
			return {
				steps: [
					`The power ${one ? "button" : "buttons"} of ${who} ${one ? "is" : "are"} pressed.`,
					"The operating system inside decides when it ends; without one that listens, it runs on.",
				],
				undo: `start ${it} again once ${one ? "it has" : "they have"} stopped.`,
			};
		case "powerOff":
			return {
				steps: [
					`${who} ${one ? "stops" : "stop"} at once, as if the cable were pulled.`,
					"What the programs inside had not yet written to disk is lost.",
				],
				undo: `start ${it} again; what was not written stays lost.`,
			};
		case "pause":
			return {
				steps: [
					`The CPUs of ${who} stand still; memory and disks stay as they are.`,
					"Network connections may time out.",
				],
				undo: `resume ${it}; ${one ? "it goes on where it" : "they go on where they"} stood.`,
			};
		case "resume":
			return { steps: [`The CPUs of ${who} run again.`], undo: `pause ${it} again.` };
		case "delete":
			return {
				steps: [`The disks of ${who} are deleted.`, "What happened with them stays in the event log."],
				undo: "this cannot be undone.",
			};
	}
}

/** What forgetting guests of hosts that are gone for ever does. */
export function planOfForget(names: readonly string[], hosts: readonly string[]): Plan {
	const who = listOf(names);
	const where = listOf([...new Set(hosts)]);
	const one = names.length === 1;
	return {
		steps: [
			`This console forgets ${who}: what ${one ? "it is" : "they are"}, where ${one ? "it runs" : "they run"}, and ${one ? "its" : "their"} tags.`,
			`If ${where} is switched on somewhere, ${one ? "the guest" : "the guests"} may still run there, unseen, under the same addresses.`,
			"Nothing is deleted on any server: the disks stay wherever they are.",
			`Recovery points stay, and so does what happened, in the event log.`,
		],
		undo: `restore ${one ? "it" : "them"} from ${one ? "its" : "their"} backups, as ${one ? "a new guest" : "new guests"}.`,
	};
}

/** `a`, `a and b`, `a, b and c`, `a, b, c and 9 more`. */
export function listOf(names: readonly string[]): string {
	const shown = names.length > 5 ? [...names.slice(0, 4), `${names.length - 4} more`] : names;
	return shown.length < 2 ? (shown[0] ?? "nothing") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
