/** As many hosts as a person compares, and as an agent is asked about at once. */
const targetsAsked = 24;

/**
 * Which of the hosts are asked whether they take a guest: those that the planner thinks fit, best first, then the others by
 * name, each with its reason why not.
 * @param fitting ids of hosts that fit, best first.
 */
export function targetsToAsk<Host extends { id: string; name: string }>(
	hosts: readonly Host[],
	fitting: readonly string[],
): Host[] {
	const rank = new Map(fitting.map((id, index) => [id, index]));
	const rankOf = ({ id }: Host) => rank.get(id) ?? fitting.length;
	return hosts.toSorted((a, b) => rankOf(a) - rankOf(b) || collator.compare(a.name, b.name)).slice(0, targetsAsked);
}

const collator = new Intl.Collator("en", { numeric: true });
