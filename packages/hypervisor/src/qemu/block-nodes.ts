/**
 * QEMU's name for the guest's volume at `index` of its spec. Node names have at most 31 characters: no room for an id.
 * One that was moved under the running guest (`moves` times) has another name: the old and the new one were there at once.
 */
export function diskNode(index: number, moves = 0): string {
	return moves === 0 ? `disk${index}` : `disk${index}m${moves}`;
}

/** The node of the file below a volume's node. */
export function fileNode(node: string): string {
	return `${node}-file`;
}

/** The node of what a volume that is not completely here is read from. */
export function sourceNode(index: number): string {
	return `source${index}`;
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
	const match = /^(?:disk|mirror|copy)(\d+)(?:m\d+)?(?:-file|-top)?$/.exec(name);
	return match ? Number(match[1]) : null;
}
