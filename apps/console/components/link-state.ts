import { useSyncExternalStore } from "react";

/** Whether live values arrive: `idle` before the first subscription, `lost` while the socket is being opened again. */
export type LinkState = "idle" | "live" | "lost";

let state: LinkState = "idle";
const listeners = new Set<() => void>();

export function publishLink(next: LinkState): void {
	if (next === state) return;
	state = next;
	for (const listener of listeners) listener();
}

export function useLinkState(): LinkState {
	return useSyncExternalStore(
		(listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		() => state,
		() => "idle",
	);
}
