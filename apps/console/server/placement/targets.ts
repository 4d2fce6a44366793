/** As many hosts as a person compares, and as an agent is asked about at once. */
const targetsAsked = 24;
/** How often more that fit are asked while all refuse, and how long such a round is begun after the first. */
const roundsAtMost = 5;
const moreWithinMs = 10_000;

/**
 * Which of the hosts are asked whether they take a guest: those that the planner thinks fit, best first, then the others by
 * name, each with its reason why not.
 * @param fitting ids of hosts that fit, best first.
 */
export function targetsToAsk<Host extends { id: string; name: string }>(
	hosts: readonly Host[],
	fitting: readonly string[],
): Host[] {
	return inOrder(hosts, fitting).slice(0, targetsAsked);
}

/**
 * Asks the hosts of `targetsToAsk`, and while all of them refuse, as many more of those that fit: only the agents know whether
 * their processors and versions agree, and the one that takes the guest may be the 25th. Bounded in rounds and in time.
 * @param fitting ids of hosts that fit, best first.
 * @param nowMs a clock that is never set back, in milliseconds.
 * @returns what all that were asked answered, in the order of asking.
 */
export async function askTargets<Host extends { id: string; name: string }, Answer extends { refusals: unknown[] }>(
	hosts: readonly Host[],
	fitting: readonly string[],
	ask: (host: Host) => Promise<Answer>,
	nowMs: () => number = () => performance.now(),
): Promise<Answer[]> {
	const fits = new Set(fitting);
	const startedAt = nowMs();
	const answers = await Promise.all(targetsToAsk(hosts, fitting).map(ask));
	const further = inOrder(hosts, fitting)
		.slice(targetsAsked, roundsAtMost * targetsAsked)
		.filter(({ id }) => fits.has(id));
	while (further.length > 0 && answers.every(({ refusals }) => refusals.length > 0)) {
		if (nowMs() - startedAt >= moreWithinMs) break;
		answers.push(...(await Promise.all(further.splice(0, targetsAsked).map(ask))));
	}
	return answers;
}

function inOrder<Host extends { id: string; name: string }>(
	hosts: readonly Host[],
	fitting: readonly string[],
): Host[] {
	const rank = new Map(fitting.map((id, index) => [id, index]));
	const rankOf = ({ id }: Host) => rank.get(id) ?? fitting.length;
	return hosts.toSorted((a, b) => rankOf(a) - rankOf(b) || collator.compare(a.name, b.name));
}

const collator = new Intl.Collator("en", { numeric: true });
