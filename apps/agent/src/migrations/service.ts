import type { AgentContext, MigrationService } from "../context.ts";
import { type After, IncomingMoves } from "./incoming.ts";
import { JournalFiles } from "./journal-file.ts";
import { beginLife } from "./life.ts";
import type { Observe } from "./observe.ts";
import { OutgoingMoves } from "./outgoing.ts";
import { planMove } from "./plan.ts";

/** What fault tests change. */
export interface MigrationTesting {
	observe?: Observe;
	/** Acts when a lease is over, unless the returned function is called before: `setTimeout` by default. */
	after?: After;
}

/** What moves guests between this host and its peers. */
export function createMigrationService(context: AgentContext, testing: MigrationTesting = {}): MigrationService {
	const { observe = async () => {}, after = afterTimeout } = testing;
	const life = beginLife();
	const journals = new JournalFiles(context.dataDir);
	const outgoing = new OutgoingMoves({ context, journals, life, observe });
	const incoming = new IncomingMoves({ context, life, observe, after });
	return {
		plan: (input, signal) => planMove(context, input, signal),
		start: (input) => outgoing.start(input),
		cancel: (migrationId) => outgoing.cancel(migrationId),
		check: (input) => incoming.check(input),
		prepare: (input, caller) => incoming.prepare(input, caller),
		renew: (input, caller) => incoming.renew(input, caller),
		run: (input, caller) => incoming.run(input, caller),
		discard: (input, caller) => incoming.discard(input, caller),
		active: () => outgoing.reports(),
		async resumeAll() {
			await incoming.resumeAll();
			await outgoing.resumeAll();
		},
		async close() {
			life.end();
			await Promise.all([incoming.close(), outgoing.close()]);
		},
	};
}

const afterTimeout: After = (delayMs, action) => {
	const timer = setTimeout(action, delayMs);
	return () => clearTimeout(timer);
};
