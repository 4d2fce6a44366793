"use client";
import Link from "next/link";
import type { GuestView } from "../server/views-guests.ts";
import { Panel } from "../ui/panel.tsx";
import { ProtectionChip } from "./backups/chips.tsx";
import { statement } from "./words.ts";

/** Whether the guest could be brought back; the rest stands on its page about backups. */
export function GuestProtection({ guest }: { guest: GuestView }) {
	const { protection } = guest;
	return (
		<Panel
			title="Backups"
			aside={
				<Link href={`/guests/${guest.id}/backups`} className="text-sm font-medium text-accent hover:underline">
					Recovery points
				</Link>
			}
		>
			{protection ? (
				<>
					<ProtectionChip state={protection.state} />
					<p className="mt-1 text-soft wrap-anywhere">{statement(protection.sentence)}</p>
				</>
			) : (
				<p className="text-soft">Not looked up yet.</p>
			)}
		</Panel>
	);
}
