/**
 * One life of the migration service, from its making to `close`. After its end nothing more is done in its name: what was
 * under way stands still for ever, exactly as if the process had been killed, and the next life takes it up from disk.
 */
export interface Life {
	readonly signal: AbortSignal;
	/** The same object, with functions whose promises are never settled once this life is over. */
	bound<Port extends object>(port: Port): Port;
	/** Runs a task whose outcome nobody waits for; a failure is told unless this life is over. */
	background(task: Promise<unknown>, onFailure: (thrown: unknown) => void): void;
	end(): void;
}

const forever = new Promise<never>(() => {});

export function beginLife(): Life {
	const controller = new AbortController();
	const { signal } = controller;
	const outlive = <Result>(result: Promise<Result>): Promise<Result> =>
		result.then(
			(value) => (signal.aborted ? forever : value),
			(thrown: unknown) => (signal.aborted ? forever : Promise.reject(thrown)),
		);
	return {
		signal,
		bound: (port) =>
			new Proxy(port, {
				get(target, name) {
					const member: unknown = Reflect.get(target, name, target);
					if (typeof member !== "function") return member;
					return (...given: unknown[]) => {
						if (signal.aborted) return forever;
						const result: unknown = Reflect.apply(member, target, given);
						return result instanceof Promise ? outlive(result) : result;
					};
				},
			}),
		background(task, onFailure) {
			task.catch((thrown: unknown) => {
				if (!signal.aborted) onFailure(thrown);
			});
		},
		end: () => controller.abort(),
	};
}
