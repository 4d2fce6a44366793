import type { Repository, UpkeepOptions } from "@sterna/repository/repository";
import { endedTaskStates, type UpkeepReport } from "@sterna/shared/backup";
import { asSternaError, SternaError } from "@sterna/shared/errors";
import type { RepositoryId, UpkeepId } from "@sterna/shared/ids";
import type { ParsedInput } from "@sterna/shared/protocol/commands";
import { formatBytes } from "@sterna/shared/units";
import type { AgentContext, UpkeepService } from "../context.ts";
import type { Life } from "../migrations/life.ts";
import type { Repositories } from "../repositories/repositories.ts";

const rememberedRounds = 50;
const tellMs = 500;
const toldDamages = 1000;

/** Rounds of looking after repositories: one at a time for each. None survives the agent; the console begins it again. */
export class Upkeep implements UpkeepService {
	readonly #context: AgentContext;
	readonly #repositories: Repositories;
	readonly #life: Life;
	readonly #reports = new Map<UpkeepId, UpkeepReport>();
	readonly #busy = new Map<RepositoryId, UpkeepId>();
	readonly #running = new Set<Promise<void>>();

	constructor(options: { context: AgentContext; repositories: Repositories; life: Life }) {
		this.#context = options.context;
		this.#repositories = options.repositories;
		this.#life = options.life;
	}

	/** Begins a round. The same id again: no change. @throws {SternaError} `conflict` while another one is under way. */
	async start({ access, upkeepId, kind }: ParsedInput<"repository.upkeep">): Promise<UpkeepReport> {
		const known = this.#reports.get(upkeepId);
		if (known) return known;
		const { repositoryId } = access;
		const other = this.#busy.get(repositoryId);
		if (other) {
			throw new SternaError("conflict", `another round of upkeep is under way in this repository: ${other}`, {
				cure: "wait for its end",
			});
		}
		const { clock, hostId } = this.#context;
		const report: UpkeepReport = {
			upkeepId,
			kind,
			repositoryId,
			hostId,
			generation: 0,
			state: "running",
			startedAt: clock.now(),
			endedAt: null,
			totalBytes: 0,
			doneBytes: 0,
			freedBytes: 0,
			damages: [],
			result: null,
			error: null,
		};
		this.#busy.set(repositoryId, upkeepId);
		this.#tell(report);
		const round = this.#round(report, (work) => this.#repositories.use(access, work)).finally(() => {
			this.#busy.delete(repositoryId);
			this.#running.delete(round);
		});
		this.#running.add(round);
		return report;
	}

	reports(): UpkeepReport[] {
		return [...this.#reports.values()];
	}

	/** Ends the rounds under way: what they did is whole, and the next round goes on. */
	async close(): Promise<void> {
		await Promise.all(this.#running);
	}

	async #round(
		begun: UpkeepReport,
		use: (work: (repository: Repository) => Promise<Partial<UpkeepReport>>) => Promise<Partial<UpkeepReport>>,
	): Promise<void> {
		let latest = begun;
		const tell = (change: Partial<UpkeepReport>) => {
			latest = { ...latest, ...change, generation: latest.generation + 1 };
			this.#tell(latest);
		};
		let toldAt = 0;
		const onProgress = (progress: { totalBytes: number; doneBytes: number }) => {
			latest = { ...latest, ...progress };
			if (performance.now() - toldAt < tellMs) return;
			toldAt = performance.now();
			tell({});
		};
		const options = { signal: this.#life.signal, onProgress };
		try {
			const found = await use((repository) => carryOut(repository, begun.kind, options));
			tell({ ...found, state: "completed", endedAt: this.#context.clock.now() });
		} catch (thrown) {
			const error = asSternaError(thrown);
			const state = error.code === "cancelled" ? "cancelled" : "failed";
			const { upkeepId, repositoryId, kind } = begun;
			this.#context.log.warn({ upkeepId, repositoryId, kind, err: error }, "upkeep of a repository did not complete");
			tell({ state, error: error.toWire(), endedAt: this.#context.clock.now() });
		}
	}

	#tell(report: UpkeepReport): void {
		if (this.#life.signal.aborted) return;
		this.#reports.delete(report.upkeepId);
		this.#reports.set(report.upkeepId, report);
		const ended = [...this.#reports.values()].filter(({ state }) => endedTaskStates.includes(state));
		for (const { upkeepId } of ended.slice(0, -rememberedRounds)) this.#reports.delete(upkeepId);
		this.#context.announce.upkeepChanged(report);
	}
}

async function carryOut(
	repository: Repository,
	kind: UpkeepReport["kind"],
	options: UpkeepOptions,
): Promise<Partial<UpkeepReport>> {
	switch (kind) {
		case "scrub": {
			const { damages } = await repository.scrub(options);
			const result =
				damages.length === 0
					? "everything in the repository is as it was written"
					: `${damages.length} objects of the repository are damaged`;
			return { damages: damages.slice(0, toldDamages), result };
		}
		case "collect": {
			const { freedBytes, waitingFor, lockFailures } = await repository.collect(options);
			const waits =
				waitingFor === 0 ? "" : `; what ${waitingFor} running backups may still use is freed after their end`;
			const unlocked =
				lockFailures === null
					? ""
					: `; the locks of ${lockFailures.objects} objects could not be extended: ${lockFailures.reason}`;
			return { freedBytes, result: `${formatBytes(freedBytes)} were freed${waits}${unlocked}` };
		}
		case "canary": {
			const locked = await repository.canary();
			const result = locked
				? "what was written cannot be deleted before its time: it was tried"
				: "what was written can be deleted by whoever has the credentials of the place";
			return { result };
		}
	}
}
