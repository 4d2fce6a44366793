import { SectionLinks } from "../ui/section-links.tsx";

/** The pages of one guest side by side. */
export function GuestLinks({ guestId }: { guestId: string }) {
	return (
		<SectionLinks
			label="Guest"
			links={[
				{ href: `/guests/${guestId}`, label: "Now" },
				{ href: `/guests/${guestId}/backups`, label: "Backups" },
			]}
		/>
	);
}
