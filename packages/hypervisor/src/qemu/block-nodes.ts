/** QEMU's name for the guest's volume at `index` of its spec. Node names have at most 31 characters: no room for an id. */
export function diskNode(index: number): string {
	return `disk${index}`;
}

/** The node that stands for the copy of that volume on the migration's target. */
export function mirrorNode(index: number): string {
	return `mirror${index}`;
}

/** The job that copies it. */
export function mirrorJob(index: number): string {
	return `copy${index}`;
}

/** The index that is in a node's or job's name; null for a name of something else. */
export function indexIn(name: string): number | null {
	const match = /^(?:disk|mirror|copy)(\d+)(?:-file)?$/.exec(name);
	return match ? Number(match[1]) : null;
}
