import type { GuestEntry } from "../inventory/inventory.ts";
import type { ProtectionSummary } from "../views.ts";

/** How many guests are protected how. */
export function summaryOf(guests: Iterable<GuestEntry>): ProtectionSummary {
	const summary: ProtectionSummary = { guests: 0, protected: 0, late: 0, unprotected: 0, failing: 0, damaged: 0 };
	for (const { protection } of guests) {
		summary.guests++;
		if (protection) summary[protection.state]++;
	}
	return summary;
}
