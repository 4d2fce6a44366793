import { SectionLinks } from "../../ui/section-links.tsx";

const links = [
	{ href: "/backups", label: "Protection" },
	{ href: "/backups/runs", label: "Runs" },
	{ href: "/backups/jobs", label: "Jobs" },
	{ href: "/backups/repositories", label: "Repositories" },
	{ href: "/backups/restores", label: "Restores and drills" },
];

/** The pages about backups, side by side. */
export function BackupSection() {
	return <SectionLinks label="Backups" links={links} />;
}
