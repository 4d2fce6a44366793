import type { ProtectionSummary } from "../../server/views-guests.ts";
import type { Tone } from "../../ui/tone.ts";

/** Guests that would lose more than was agreed, or everything. */
export function atRisk(summary: ProtectionSummary): number {
	return summary.late + summary.failing + summary.damaged;
}

/** Could I restore: one sentence, from the worst that is true of any guest. */
export function protectionHeadline(summary: ProtectionSummary): { tone: Tone; sentence: string } {
	const { guests, damaged, failing, late, unprotected } = summary;
	if (guests === 0) return { tone: "neutral", sentence: "There is no guest to protect yet." };
	const told = [
		damaged > 0 && `${people(damaged)} damaged recovery points`,
		failing > 0 && `the backups of ${count(failing)} fail`,
		late > 0 && `${count(late)} ${late === 1 ? "is" : "are"} late`,
	].filter((one) => one !== false);
	if (told.length > 0) {
		return { tone: damaged + failing > 0 ? "bad" : "warn", sentence: `${capital(told.join(", "))}.` };
	}
	if (unprotected === guests) return { tone: "watch", sentence: "No guest is backed up." };
	if (unprotected > 0) {
		return {
			tone: "watch",
			sentence: `${capital(count(unprotected))} of ${guests} ${unprotected === 1 ? "has" : "have"} no backup.`,
		};
	}
	return {
		tone: "ok",
		sentence: guests === 1 ? "The guest can be restored as agreed." : `All ${guests} guests can be restored as agreed.`,
	};
}

function count(guests: number): string {
	return guests === 1 ? "one guest" : `${guests} guests`;
}

function people(guests: number): string {
	return `${count(guests)} ${guests === 1 ? "has" : "have"}`;
}

function capital(text: string): string {
	return text.charAt(0).toUpperCase() + text.slice(1);
}
