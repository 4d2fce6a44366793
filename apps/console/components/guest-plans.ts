import type { PowerAction } from "../server/routers/guests.ts";
import type { Plan } from "./plan-dialog.tsx";

/** What an action that needs nothing but the guest will do. `who` is the guest's name, or several. */
export function planOfPower(action: PowerAction, who: string): Plan {
	switch (action) {
		case "start":
			return { steps: [`${who} boots on its host.`], undo: "shut it down." };
		case "shutDown":
			return {
				steps: [
					`The power button of ${who} is pressed.`,
					"The operating system inside decides when it ends; without one that listens, it runs on.",
				],
				undo: "start it again once it has stopped.",
			};
		case "powerOff":
			return {
				steps: [
					`${who} stops at once, as if the cable were pulled.`,
					"What its programs had not yet written to disk is lost.",
				],
				undo: "start it again; what was not written stays lost.",
			};
		case "pause":
			return {
				steps: [
					`The CPUs of ${who} stand still; memory and disks stay as they are.`,
					"Its network connections may time out.",
				],
				undo: "resume it; it goes on where it stood.",
			};
		case "resume":
			return { steps: [`The CPUs of ${who} run again.`], undo: "pause it again." };
		case "delete":
			return {
				steps: [`The disks of ${who} are deleted from their hosts.`, "Its events stay in the log."],
				undo: "this cannot be undone.",
			};
	}
}
