/** A recovery key as it is read and typed by people: its prefix, and groups whose last has the eight characters asked for. */
export function groupsOf(recoveryKey: string): { prefix: string; groups: string[] } {
	const [, prefix = "", body = recoveryKey] = /^(sterna-key-\d+-)(.*)$/.exec(recoveryKey) ?? [];
	const groups: string[] = [];
	for (let end = body.length; end > 0; end -= 8) groups.unshift(body.slice(Math.max(0, end - 8), end));
	return { prefix, groups };
}

/** A key as it was typed from paper: spaces between its groups and capitals do not matter. */
export function keyOf(typed: string): string {
	return typed.replace(/\s+/g, "").toLowerCase();
}
